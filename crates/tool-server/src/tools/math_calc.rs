//! `math_calc`: a calculator.

use rmcp::{tool, tool_router};
use schemars::JsonSchema;
use serde::Deserialize;

use super::Toolbox;
use crate::{expression::evaluate, number::plain, parameters::Parameters};

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct MathCalcArguments {
    /// Expression to work out, for instance `2 + 2 * 3` or `sqrt(2) ^ 3`.
    #[schemars(length(min = 1, max = 1_000))]
    expression: String,
}

#[tool_router(router = math_calc_router, vis = "pub(super)")]
impl Toolbox {
    /// Perform math calculations: + - * / % ^ and parentheses; the constants pi, tau, e; the functions abs, acos, asin,
    /// atan, cbrt, ceil, cos, exp, floor, ln, log10, log2, max, min, round, sin, sqrt, tan, trunc. Angles are radians; % is
    /// the remainder with the sign of the divisor; results have 15 significant digits.
    #[tool(
        title = "Calculator",
        annotations(
            title = "Calculator",
            read_only_hint = true,
            idempotent_hint = true,
            open_world_hint = false
        )
    )]
    fn math_calc(&self, Parameters(arguments): Parameters<MathCalcArguments>) -> Result<String, String> {
        let expression = arguments.expression.trim();
        let value = evaluate(expression).map_err(|error| error.to_string())?;
        Ok(format!("{expression} = {}", plain(value)))
    }
}

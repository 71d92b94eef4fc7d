//! Precedence, refusals, and what no input may do.

use proptest::prelude::*;

use super::*;

fn refusal(text: &str) -> String {
    evaluate(text).unwrap_err().to_string()
}

#[test]
fn operators_bind_as_in_mathematics() {
    for (text, value) in [
        ("2 + 2 * 3", 8.0),
        ("(2 + 2) * 3", 12.0),
        ("10 * 5", 50.0),
        ("100 / 4", 25.0),
        ("8 - 3 - 2", 3.0),
        ("64 / 4 / 2", 8.0),
        ("-2^2", -4.0),
        ("(-2)^2", 4.0),
        ("2^3^2", 512.0),
        ("2**3**2", 512.0),
        ("2^-1 * 4", 2.0),
        ("2 * -3", -6.0),
        ("--2", 2.0),
        ("+1 - +1", 0.0),
        ("7 % 3 * 2", 2.0),
        ("-7 % 3", 2.0),
        ("7 % -3", -2.0),
    ] {
        assert_eq!(evaluate(text), Ok(value), "{text}");
    }
}

#[test]
fn numbers_names_and_functions_are_known() {
    for (text, value) in [
        (".5 + 5.", 5.5),
        ("1e3 + 2.5E-1", 1_000.25),
        ("sqrt(16) + abs(-3)", 7.0),
        ("max(1, 7, 3) - min(4, 2)", 5.0),
        ("round(2.5) + floor(-0.5) + ceil(0.5) + trunc(-1.5)", 2.0),
        ("sin(0) + cos(0) + ln(e) + log10(1000) + log2(8)", 8.0),
        ("tau / pi", 2.0),
        ("2 * e", 2.0 * consts::E),
    ] {
        assert_eq!(evaluate(text), Ok(value), "{text}");
    }
}

#[test]
fn what_is_not_an_expression_is_refused_with_its_place() {
    for (text, words) in [
        ("", "the expression is empty"),
        (" \t", "the expression is empty"),
        ("2 +", "expected a number, a name or `(` at character 4, found the end"),
        ("2 3", "expected an operator or the end at character 3, found `3`"),
        ("2(3)", "expected an operator or the end at character 2, found `(`"),
        ("2 + é", "expected a number, a name or `(` at character 5, found `é`"),
        ("(1 + 2", "expected an operator or `)` at character 7, found the end"),
        ("1..2", "expected an operator or the end at character 3, found `.`"),
        (".", "expected a number, a name or `(` at character 1, found `.`"),
        ("2e", "expected an operator or the end at character 2, found `e`"),
        ("sin 1", "expected `(` and the function's argument at character 5, found `1`"),
        ("sqrt(1, 2)", "`sqrt` takes one argument, for instance sqrt(2)"),
        ("max()", "expected a number, a name or `(` at character 5, found `)`"),
        ("__import__('os')", "expected a number, a name or `(` at character 1, found `_`"),
    ] {
        assert_eq!(refusal(text), words, "{text}");
    }
}

#[test]
fn an_unknown_name_is_refused_with_those_that_are_known() {
    let refusal = refusal("1 + invalid");
    assert!(
        refusal.starts_with("unknown name `invalid` at character 5: known are e, pi, tau, abs,"),
        "{refusal}"
    );
}

#[test]
fn what_has_no_value_is_refused() {
    use ExpressionError::{DivisionByZero, TooLarge, Undefined};
    for (text, error) in [
        ("1 / 0", DivisionByZero),
        ("1 % (2 - 2)", DivisionByZero),
        ("0 ^ -1", DivisionByZero),
        ("10 ^ 400", TooLarge),
        ("1e400", TooLarge),
        ("exp(1000)", TooLarge),
        ("1e308 * 10", TooLarge),
        ("sqrt(-1)", Undefined("sqrt".to_owned())),
        ("ln(0)", Undefined("ln".to_owned())),
        ("(-8) ^ 0.5", Undefined("^".to_owned())),
    ] {
        assert_eq!(evaluate(text), Err(error), "{text}");
    }
}

#[test]
fn length_and_nesting_are_bounded() {
    assert_eq!(evaluate(&"1".repeat(MAX_BYTES + 1)), Err(ExpressionError::TooLong));
    for deep in ["(".repeat(900), "-".repeat(900), "2^".repeat(400), "abs(".repeat(200)] {
        assert_eq!(evaluate(&deep), Err(ExpressionError::TooDeep), "{deep}");
    }
    let nested = format!("{}1{}", "(".repeat(99), ")".repeat(99));
    assert_eq!(evaluate(&nested), Ok(1.0));
    let wide = format!("1{}", " + (1)".repeat(150));
    assert_eq!(evaluate(&wide), Ok(151.0), "only nesting counts");
}

/// An expression with its value worked out beside it, in as few parentheses as the precedence allows.
#[derive(Debug, Clone)]
struct Known {
    text: String,
    value: f64,
    binds: u8,
}

impl Known {
    fn inside(&self, least: u8) -> String {
        if self.binds < least { format!("({})", self.text) } else { self.text.clone() }
    }
}

fn known() -> impl Strategy<Value = Known> {
    let number = (0..1_000_u32).prop_map(|n| Known { text: n.to_string(), value: n.into(), binds: 9 });
    number.prop_recursive(5, 40, 2, |inner| {
        let binary = (inner.clone(), inner.clone(), 0..3_u8).prop_map(|(left, right, kind)| {
            let (sign, binds, value) = match kind {
                0 => ('+', 1, left.value + right.value),
                1 => ('-', 1, left.value - right.value),
                _ => ('*', 3, left.value * right.value),
            };
            Known { text: format!("{}{sign} {}", left.inside(binds), right.inside(binds + 1)), value, binds }
        });
        let negative = inner.prop_map(|known| Known {
            text: format!("-{}", known.inside(SIGN)),
            value: -known.value,
            binds: SIGN,
        });
        prop_oneof![binary, negative]
    })
}

proptest! {
    #[test]
    fn no_input_panics_or_gives_an_endless_value(text in ".{0,60}") {
        if let Ok(value) = evaluate(&text) {
            prop_assert!(value.is_finite());
        }
    }

    #[test]
    fn no_mixture_of_what_is_known_panics(text in "([-+*/%^(),.e0-9 ]|sin|max|pi|1e9){0,80}") {
        if let Ok(value) = evaluate(&text) {
            prop_assert!(value.is_finite());
        }
    }

    #[test]
    fn an_expression_has_the_value_that_its_tree_has(known in known()) {
        prop_assert_eq!(evaluate(&known.text), Ok(known.value), "{}", known.text);
    }
}

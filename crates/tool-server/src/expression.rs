//! Arithmetic by precedence climbing: an expression is read and worked out in one pass, and never run as code.
//!
//! `^` (or `**`) binds tightest and to the right, then the sign, then `* / %`, then `+ -`: `-2^2` is -4 and `2^3^2` is 512.
//! `%` is the remainder with the sign of the divisor. Angles are radians. Numbers are 64-bit floats.

use std::f64::consts;

/// Longest expression, in bytes.
const MAX_BYTES: usize = 1_000;
/// Deepest nesting of parentheses, signs and powers: it bounds the stack.
const MAX_DEPTH: usize = 100;
/// How tightly a sign binds: tighter than `*`, looser than `^`.
const SIGN: u8 = 5;

type Function = (&'static str, fn(f64) -> f64);
type Fold = (&'static str, fn(f64, f64) -> f64);

const CONSTANTS: [(&str, f64); 3] = [("e", consts::E), ("pi", consts::PI), ("tau", consts::TAU)];

/// Functions of one argument.
const FUNCTIONS: [Function; 17] = [
    ("abs", f64::abs),
    ("acos", f64::acos),
    ("asin", f64::asin),
    ("atan", f64::atan),
    ("cbrt", f64::cbrt),
    ("ceil", f64::ceil),
    ("cos", f64::cos),
    ("exp", f64::exp),
    ("floor", f64::floor),
    ("ln", f64::ln),
    ("log10", f64::log10),
    ("log2", f64::log2),
    ("round", f64::round),
    ("sin", f64::sin),
    ("sqrt", f64::sqrt),
    ("tan", f64::tan),
    ("trunc", f64::trunc),
];

/// Functions of one argument or more, which take them two by two.
const FOLDS: [Fold; 2] = [("max", f64::max), ("min", f64::min)];

/// Why an expression has no value. The texts are for whoever wrote it.
#[derive(Debug, PartialEq, thiserror::Error)]
pub(crate) enum ExpressionError {
    #[error("the expression is empty")]
    Empty,
    #[error("the expression is longer than {MAX_BYTES} bytes")]
    TooLong,
    #[error("parentheses, signs or powers are nested more than {MAX_DEPTH} deep")]
    TooDeep,
    #[error("expected {expected} at character {place}, found {found}")]
    Unexpected { expected: &'static str, place: usize, found: String },
    #[error("unknown name `{name}` at character {place}: known are {}", known_names())]
    UnknownName { name: String, place: usize },
    #[error("`{0}` takes one argument, for instance {0}(2)")]
    Arguments(String),
    #[error("division by zero")]
    DivisionByZero,
    #[error("a number is too large: the limit is about 1.8e308")]
    TooLarge,
    #[error("`{0}` has no real and finite value there")]
    Undefined(String),
}

/// The value of an expression; always finite.
///
/// # Errors
/// When it is not an expression, or has no value.
pub(crate) fn evaluate(text: &str) -> Result<f64, ExpressionError> {
    if text.len() > MAX_BYTES {
        return Err(ExpressionError::TooLong);
    }
    if text.trim().is_empty() {
        return Err(ExpressionError::Empty);
    }
    let mut parser = Parser { text, at: 0, depth: 0 };
    let value = parser.expression(0)?;
    if parser.peek().is_some() { Err(parser.unexpected("an operator or the end")) } else { Ok(value) }
}

#[derive(Clone, Copy)]
enum Operator {
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
    Power,
}

impl Operator {
    /// How tightly it binds to what is on its left and on its right.
    fn binding(self) -> (u8, u8) {
        match self {
            Self::Add | Self::Subtract => (1, 2),
            Self::Multiply | Self::Divide | Self::Remainder => (3, 4),
            Self::Power => (8, 7),
        }
    }

    fn apply(self, left: f64, right: f64) -> Result<f64, ExpressionError> {
        match self {
            Self::Divide | Self::Remainder if right == 0.0 => return Err(ExpressionError::DivisionByZero),
            Self::Power if left == 0.0 && right < 0.0 => return Err(ExpressionError::DivisionByZero),
            Self::Power if left < 0.0 && right.fract() != 0.0 => {
                return Err(ExpressionError::Undefined("^".to_owned()));
            }
            _ => {}
        }
        finite(match self {
            Self::Add => left + right,
            Self::Subtract => left - right,
            Self::Multiply => left * right,
            Self::Divide => left / right,
            Self::Remainder => remainder(left, right),
            Self::Power => left.powf(right),
        })
    }
}

fn remainder(left: f64, right: f64) -> f64 {
    let rest = left % right;
    if rest != 0.0 && (rest < 0.0) != (right < 0.0) { rest + right } else { rest }
}

fn finite(value: f64) -> Result<f64, ExpressionError> {
    if value.is_finite() { Ok(value) } else { Err(ExpressionError::TooLarge) }
}

fn known_names() -> String {
    let constants = CONSTANTS.iter().map(|(name, _)| *name);
    let functions = FUNCTIONS.iter().map(|(name, _)| *name).chain(FOLDS.iter().map(|(name, _)| *name));
    constants.chain(functions).collect::<Vec<_>>().join(", ")
}

struct Parser<'a> {
    text: &'a str,
    /// Bytes that are read.
    at: usize,
    depth: usize,
}

impl Parser<'_> {
    /// Reads as far as operators bind at least this tightly.
    fn expression(&mut self, least: u8) -> Result<f64, ExpressionError> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(ExpressionError::TooDeep);
        }
        let mut value = self.operand()?;
        while let Some((operator, length)) = self.operator() {
            let (left, right) = operator.binding();
            if left < least {
                break;
            }
            self.at += length;
            value = operator.apply(value, self.expression(right)?)?;
        }
        self.depth -= 1;
        Ok(value)
    }

    fn operand(&mut self) -> Result<f64, ExpressionError> {
        match self.peek() {
            Some('+') => self.sign(),
            Some('-') => self.sign().map(|value| -value),
            Some('(') => {
                self.at += 1;
                let value = self.expression(0)?;
                self.expect(')', "an operator or `)`")?;
                Ok(value)
            }
            Some(digit) if digit.is_ascii_digit() || digit == '.' => self.number(),
            Some(letter) if letter.is_ascii_alphabetic() => self.name(),
            _ => Err(self.unexpected("a number, a name or `(`")),
        }
    }

    fn sign(&mut self) -> Result<f64, ExpressionError> {
        self.at += 1;
        self.expression(SIGN)
    }

    fn number(&mut self) -> Result<f64, ExpressionError> {
        let start = self.at;
        self.digits();
        if self.rest().starts_with('.') {
            self.at += 1;
            self.digits();
        }
        // `2e3` is a number; `2e` and `2exp` are not, and are left to be refused as a number and a name.
        let exponent = self.rest().strip_prefix(['e', 'E']).unwrap_or_default();
        let unsigned = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
        if unsigned.starts_with(|digit: char| digit.is_ascii_digit()) {
            self.at += 1 + exponent.len() - unsigned.len();
            self.digits();
        }
        match self.text[start..self.at].parse() {
            Ok(value) => finite(value),
            Err(_) => {
                self.at = start; // a lone point
                Err(self.unexpected("a number, a name or `(`"))
            }
        }
    }

    fn digits(&mut self) {
        self.at += self.rest().bytes().take_while(u8::is_ascii_digit).count();
    }

    fn name(&mut self) -> Result<f64, ExpressionError> {
        let length =
            self.rest().bytes().take_while(|byte| byte.is_ascii_alphanumeric() || *byte == b'_').count();
        let place = self.place();
        let name = self.rest()[..length].to_owned();
        self.at += length;
        if let Some((_, value)) = CONSTANTS.iter().find(|(known, _)| *known == name) {
            return Ok(*value);
        }
        let single = FUNCTIONS.iter().find(|(known, _)| *known == name).map(|(_, function)| *function);
        let fold = FOLDS.iter().find(|(known, _)| *known == name).map(|(_, function)| *function);
        let value = match (single, fold) {
            (Some(function), _) => match self.arguments()?[..] {
                [argument] => function(argument),
                _ => return Err(ExpressionError::Arguments(name)),
            },
            (None, Some(function)) => self.arguments()?.into_iter().reduce(function).unwrap_or(f64::NAN),
            (None, None) => return Err(ExpressionError::UnknownName { name, place }),
        };
        if value.is_nan() || (value.is_infinite() && name != "exp") {
            return Err(ExpressionError::Undefined(name));
        }
        finite(value)
    }

    /// At least one value in parentheses, separated by commas.
    fn arguments(&mut self) -> Result<Vec<f64>, ExpressionError> {
        self.expect('(', "`(` and the function's argument")?;
        let mut values = vec![self.expression(0)?];
        while self.peek() == Some(',') {
            self.at += 1;
            values.push(self.expression(0)?);
        }
        self.expect(')', "an operator, `,` or `)`")?;
        Ok(values)
    }

    /// The operator that comes next, and its length.
    fn operator(&mut self) -> Option<(Operator, usize)> {
        match self.peek()? {
            '*' if self.rest().starts_with("**") => Some((Operator::Power, 2)),
            '+' => Some((Operator::Add, 1)),
            '-' => Some((Operator::Subtract, 1)),
            '*' => Some((Operator::Multiply, 1)),
            '/' => Some((Operator::Divide, 1)),
            '%' => Some((Operator::Remainder, 1)),
            '^' => Some((Operator::Power, 1)),
            _ => None,
        }
    }

    fn expect(&mut self, wanted: char, expected: &'static str) -> Result<(), ExpressionError> {
        if self.peek() != Some(wanted) {
            return Err(self.unexpected(expected));
        }
        self.at += wanted.len_utf8();
        Ok(())
    }

    /// The next character that is not white space.
    fn peek(&mut self) -> Option<char> {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start().len();
        self.rest().chars().next()
    }

    fn rest(&self) -> &str {
        &self.text[self.at..]
    }

    /// Where the parser is, in characters from 1.
    fn place(&self) -> usize {
        self.text[..self.at].chars().count() + 1
    }

    fn unexpected(&mut self, expected: &'static str) -> ExpressionError {
        let found = self.peek().map_or_else(|| "the end".to_owned(), |found| format!("`{found}`"));
        ExpressionError::Unexpected { expected, place: self.place(), found }
    }
}

#[cfg(test)]
#[path = "expression_tests.rs"]
mod tests;

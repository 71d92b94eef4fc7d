//! US dollars, exact.

use std::{
    fmt,
    iter::Sum,
    ops::{Add, AddAssign},
};

use rust_decimal::{Decimal, prelude::ToPrimitive};

/// Decimals of an amount: prices have at most six per million tokens, so every cost is a whole number of picodollars.
const SCALE: u32 = 12;

/// An amount of US dollars, exact to the picodollar (1e-12 USD), at most about 9.2 million dollars.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Usd(i64);

impl Usd {
    /// No money.
    pub const ZERO: Self = Self(0);

    /// The amount in picodollars, as the ledger keeps it: integers add up exactly in SQL.
    #[must_use]
    pub fn picodollars(self) -> i64 {
        self.0
    }

    /// The amount of this many picodollars.
    #[must_use]
    pub fn from_picodollars(picodollars: i64) -> Self {
        Self(picodollars)
    }

    /// The amount as an exact decimal.
    #[must_use]
    pub fn to_decimal(self) -> Decimal {
        Decimal::new(self.0, SCALE).normalize()
    }

    /// The nearest floating-point number, for JSON. Its shortest form is the exact decimal up to 15 digits.
    #[must_use]
    pub fn to_f64(self) -> f64 {
        self.to_string().parse().unwrap_or(f64::NAN)
    }

    /// The amount that `to_f64` made `dollars` from; `None` when it is not an amount (negative, infinite, too large).
    #[must_use]
    pub fn from_f64(dollars: f64) -> Option<Self> {
        // The shortest decimal that reads back as this number, not its binary expansion.
        let decimal: Decimal = format!("{dollars}").parse().ok()?;
        Self::from_decimal(decimal).filter(|amount| amount.0 >= 0)
    }

    /// `decimal` rounded to the picodollar; `None` when it is too large.
    pub(crate) fn from_decimal(decimal: Decimal) -> Option<Self> {
        let picodollars = decimal.checked_mul(Decimal::from(10_i64.pow(SCALE)))?;
        picodollars.round().to_i64().map(Self)
    }
}

impl fmt::Display for Usd {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.to_decimal().fmt(formatter)
    }
}

impl Add for Usd {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl AddAssign for Usd {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl Sum for Usd {
    fn sum<I: Iterator<Item = Self>>(amounts: I) -> Self {
        amounts.fold(Self::ZERO, Add::add)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_amount_survives_the_way_through_json() {
        for picodollars in [0, 1, 19_800_000, 999_999_999_999, 123_456_789_012_345] {
            let amount = Usd::from_picodollars(picodollars);
            assert_eq!(Usd::from_f64(amount.to_f64()), Some(amount));
        }
    }

    #[test]
    fn what_is_not_an_amount_is_none() {
        for dollars in [f64::NAN, f64::INFINITY, -1.0, 1e30] {
            assert_eq!(Usd::from_f64(dollars), None, "{dollars}");
        }
    }
}

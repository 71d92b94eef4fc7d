//! W3C trace context: which distributed trace a request belongs to.

use std::{fmt, str::FromStr};

use uuid::Uuid;

/// The value of a `traceparent` header (W3C Trace Context, version 00).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceParent {
    trace: u128,
    span: u64,
    flags: u8,
}

/// The text is not a `traceparent`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InvalidTraceParent;

impl TraceParent {
    /// The start of a new trace, not sampled.
    #[must_use]
    pub fn start() -> Self {
        Self { trace: Uuid::new_v4().as_u128(), span: random_span(), flags: 0 }
    }

    /// A new span of the same trace, to send along with our own request.
    #[must_use]
    pub fn child(&self) -> Self {
        Self { span: random_span(), ..*self }
    }

    /// The id of the trace, 32 hexadecimal digits.
    #[must_use]
    pub fn trace_id(&self) -> String {
        format!("{:032x}", self.trace)
    }
}

fn random_span() -> u64 {
    // The lower half of a random UUID has a fixed variant bit, so it is never zero, which would be invalid.
    Uuid::new_v4().as_u64_pair().1
}

impl FromStr for TraceParent {
    type Err = InvalidTraceParent;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let hex = |part: &str, digits: usize| {
            let valid =
                part.len() == digits && part.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
            valid.then(|| u128::from_str_radix(part, 16).ok()).flatten().ok_or(InvalidTraceParent)
        };
        let mut parts = text.split('-');
        let mut next = |digits| hex(parts.next().unwrap_or_default(), digits);
        let (version, trace, span, flags) = (next(2)?, next(32)?, next(16)?, next(2)?);
        // A later version may have more parts; version ff is forbidden.
        let too_long = version == 0 && parts.next().is_some();
        if version == 0xff || trace == 0 || span == 0 || too_long {
            return Err(InvalidTraceParent);
        }
        let span = u64::try_from(span).map_err(|_| InvalidTraceParent)?;
        let flags = u8::try_from(flags).map_err(|_| InvalidTraceParent)?;
        Ok(Self { trace, span, flags })
    }
}

impl fmt::Display for TraceParent {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "00-{:032x}-{:016x}-{:02x}", self.trace, self.span, self.flags)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VALID: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn a_child_keeps_the_trace_and_has_a_span_of_its_own() {
        let parent: TraceParent = VALID.parse().unwrap();
        assert_eq!(parent.to_string(), VALID);
        assert_eq!(parent.child().trace_id(), "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_ne!(parent.child().span, parent.span);
        assert!(parent.child().to_string().ends_with("-01"));
        assert_eq!(TraceParent::start().to_string().parse::<TraceParent>().unwrap().flags, 0);
    }

    #[test]
    fn what_is_not_a_traceparent_is_refused() {
        let zero_trace = "00-00000000000000000000000000000000-00f067aa0ba902b7-01";
        let upper = VALID.to_uppercase();
        for text in [
            "",
            "00",
            zero_trace,
            &upper,
            &format!("{VALID}-x"),
            &VALID.replace("00-4b", "ff-4b"),
            &VALID[1..],
        ] {
            assert_eq!(text.parse::<TraceParent>(), Err(InvalidTraceParent), "{text}");
        }
    }
}

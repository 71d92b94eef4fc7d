//! What happened to a request, for people.

use std::sync::atomic::{AtomicU32, Ordering};

use super::{End, Story, Trail, begun::timestamp};
use crate::Explanation;

impl Trail {
    /// What it is about, as the client calls it, if it is known.
    pub(crate) fn target(&self) -> Option<String> {
        Some(self.story().target.clone()).filter(|target| !target.is_empty())
    }

    /// What happened to it.
    pub(crate) fn explain(&self) -> Explanation {
        let earlier = self.story().earlier.clone();
        let mut reasons = vec![self.headline()];
        if let Some(parent) = self.parent {
            reasons.push(format!("it was a part of request {parent}"));
        }
        if let Some(earlier) = &earlier {
            reasons.push(format!("it went on with the call that request {} began; of that one:", earlier.id));
            reasons.extend(earlier.happened());
        }
        reasons.extend(self.happened());
        let story = self.story();
        reasons.extend(story.came_to());
        let upstream = story.upstream.clone().or_else(|| earlier?.story().upstream.clone());
        Explanation {
            name: self.id.to_string(),
            kind: Some("request".into()),
            upstream: upstream.map(|upstream| upstream.to_string()),
            name_there: None,
            reasons,
        }
    }

    /// `tools/call of "files__read" at 2026-07-28T12:00:00.000Z, which took 12 ms`
    fn headline(&self) -> String {
        let story = self.story();
        let mut line = self.operation.to_string();
        if !story.target.is_empty() {
            line.push_str(&format!(" of {:?}", story.target));
        }
        if let Some(time) = timestamp(self.at) {
            line.push_str(&format!(" at {time}"));
        }
        if let Some((_, at)) = &story.end {
            line.push_str(&format!(", which took {} ms", (*at - self.began).as_millis()));
        }
        line
    }

    fn happened(&self) -> Vec<String> {
        let story = self.story();
        let mut lines: Vec<_> = story.steps.iter().map(ToString::to_string).collect();
        if story.made > 0 {
            let parts: Vec<_> = story.parts.iter().map(ToString::to_string).collect();
            let more = if story.made > parts.len() { ", …" } else { "" };
            lines.push(format!("it made {} calls: requests {}{more}", story.made, parts.join(", ")));
        }
        if let Some(upstream) = story.upstream.as_deref() {
            lines.push(self.sendings(upstream));
        }
        lines
    }

    fn sendings(&self, upstream: &str) -> String {
        let count = |number: &AtomicU32| number.load(Ordering::Relaxed);
        let replica = match count(&self.replica) {
            0 => String::new(),
            number => format!(", the last time to replica {number}"),
        };
        match (count(&self.tries), count(&self.sent)) {
            (0 | 1, 0) => format!("it was not sent to upstream {upstream:?}"),
            (_, 1) => format!("it was sent to upstream {upstream:?} once{replica}"),
            (tries, sent) => {
                format!("it was tried {tries} times at upstream {upstream:?}, and sent {sent} times{replica}")
            }
        }
    }
}

impl Story {
    fn came_to(&self) -> Option<String> {
        let (end, _) = self.end.as_ref()?;
        Some(match end {
            End::Done => "it was answered".to_owned(),
            End::ToolError => "it was answered: the tool says that it failed".to_owned(),
            End::InputRequired => "the client was told what is needed, and is to come again".to_owned(),
            End::Theirs(Some(number)) => format!("the upstream answered with its own error {number}"),
            End::Theirs(None) => "the upstream answered with its own error".to_owned(),
            End::Ours { number, code, message } => {
                format!("the gateway answered with the error {code} ({number}): {message}")
            }
            End::Cancelled => "the client took it back, or has left".to_owned(),
        })
    }
}

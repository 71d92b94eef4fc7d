//! What rules and pins keep from clients.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use super::{
    Kind,
    template::{Template, respelled, shape},
};
use crate::rules::{self, Address, Judge, Verdict};

/// Why something that an upstream offers is kept from clients.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Withheld {
    /// The upstream.
    pub(crate) upstream: Arc<str>,
    /// The name there, the URI or the template.
    pub(crate) name: Arc<str>,
    pub(crate) by: Keeper,
    /// The rule, for people.
    pub(crate) why: String,
}

/// What keeps something from clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Keeper {
    Rules,
    Pins,
}

/// What is kept from clients, by its public name.
pub(super) type AllWithheld = HashMap<Arc<str>, Withheld>;

/// What of an upstream's resources may be read, whatever lists say.
pub(super) struct Guard {
    judge: Arc<Judge>,
    listed: HashSet<String>,
    templates: Vec<Listed>,
}

/// A template as the upstream lists it.
struct Listed {
    text: String,
    template: Template,
    /// The same in plain spelling.
    plain: Vec<Form>,
}

struct Form {
    template: Template,
    shape: String,
}

impl Listed {
    fn new(text: &str) -> Self {
        let form = |text: String| Form { template: Template::new(&text), shape: shape(&text) };
        let plain = respelled(text, rules::spellings).into_iter().map(form).collect();
        Self { text: text.to_owned(), template: Template::new(text), plain }
    }

    /// Whether it is what leads to this address for some server, or what the address says is a template, and like this one.
    fn may_lead_to(&self, address: &Address<'_>) -> bool {
        self.template.fits(address.text()) || address.may_be(|spelling| self.means(spelling))
    }

    fn means(&self, spelling: &str) -> bool {
        let is_template = spelling.contains('{');
        self.plain
            .iter()
            .any(|form| form.template.fits(spelling) || is_template && form.shape == shape(spelling))
    }
}

impl Guard {
    /// Guards an upstream that lists these resources and templates; `None` when all may be read.
    pub(super) fn new<'k, K: Iterator<Item = &'k str>>(
        judge: &Arc<Judge>,
        listed: K,
        templates: K,
    ) -> Option<Self> {
        let rules = judge.rules();
        if !rules.resources.is_ruled() && !rules.templates.is_ruled() {
            return None;
        }
        let listed = listed.map(str::to_owned).collect();
        Some(Self { judge: judge.clone(), listed, templates: templates.map(Listed::new).collect() })
    }

    /// Why this URI, as the upstream knows it, may not be read.
    pub(super) fn refusal(&self, uri: &str) -> Option<String> {
        let address = Address::of(uri);
        let verdict = self.judge.judge_resource(&address);
        if verdict.refuses() {
            return verdict.reason(Kind::Resources);
        }
        self.refusal_by_templates(&address)
    }

    /// Whether clients may hear of this URI as something to go on from: it may be read, or something under it.
    pub(super) fn is_on_the_way(&self, uri: &str) -> bool {
        let leads_on = || self.judge.leads_on(uri) && self.refusal_by_templates(&Address::of(uri)).is_none();
        self.refusal(uri).is_none() || leads_on()
    }

    fn refusal_by_templates(&self, address: &Address<'_>) -> Option<String> {
        // What is listed does not need a template.
        if !self.judge.rules().templates.is_ruled() || self.listed.contains(address.text()) {
            return None;
        }
        self.by_templates(address).reason_to_refuse(Kind::Templates)
    }

    /// What the rules for templates say of an address that is not listed: one template that is denied is enough, and what is allowed
    /// is so however servers read the address.
    fn by_templates(&self, address: &Address<'_>) -> Verdict<'_> {
        let leading = self.templates.iter().filter(|listed| listed.may_lead_to(address));
        let judged: Vec<(&Listed, Verdict<'_>)> =
            leading.map(|listed| (listed, self.judge.judge(Kind::Templates, &listed.text))).collect();
        if let Some((_, denied)) = judged.iter().find(|(_, verdict)| matches!(verdict, Verdict::Denied(_))) {
            return denied.clone();
        }
        if address.is_ambiguous() {
            return Verdict::Ambiguous;
        }
        if judged.is_empty() {
            return self.judge.judge_without_template(address);
        }
        let open = || judged.iter().filter(|(_, verdict)| !verdict.refuses());
        let is_open = |reading: &String| open().any(|(listed, _)| listed.means(reading));
        match open().next() {
            Some((_, verdict)) if address.readings().iter().all(is_open) => verdict.clone(),
            _ => Verdict::NotAllowed,
        }
    }
}

//! Tools by what they say of themselves: the words of a question are weighed as BM25F does.

use std::{cmp::Ordering, collections::HashMap, sync::Arc};

use json_rpc::{Members, Raw};

use super::{
    fields::{Fields, WEIGHTS},
    nearly::nearly,
    synonyms::Synonyms,
    words::words,
};

/// How soon more of the same word counts no more.
const SATURATION: f32 = 1.2;

/// How much more a word counts where there are few others.
const BREVITY: f32 = 0.2;

/// What a word counts that only stands for what was asked.
const SYNONYM: f32 = 0.7;

/// What a word counts that is only written nearly so.
const NEARLY: f32 = 0.6;

/// What a word counts where another one stands already for the same that was asked.
const AS_WELL: f32 = 0.25;

/// What two words count in addition that stand together in a name.
const TOGETHER: f32 = 0.5;

/// How much more a tool is worth whose name is the question.
const NAMED: f32 = 2.0;

/// How much of its worth a tool keeps that says it is deprecated.
const DEPRECATED: f32 = 0.7;

/// Most words of a question; more are not read.
const MOST_WORDS: usize = 64;

/// Most words of a question that are compared with all that there are letter by letter.
const MOST_STRANGE: usize = 8;

/// Tools that can be found.
pub(crate) struct Index {
    tools: Vec<Tool>,
    /// Each word, and how much it counts for which tool.
    terms: HashMap<String, Term>,
    synonyms: Synonyms,
}

struct Tool {
    name: Arc<str>,
    definition: Raw,
    /// Its worth among tools that fit as well.
    worth: f32,
}

/// Places of tools that have a word, and how much it counts there.
type Term = Vec<(usize, f32)>;

/// A tool that was found.
#[derive(Debug, Clone)]
pub(crate) struct Hit {
    pub(crate) name: Arc<str>,
    /// The whole definition.
    pub(crate) definition: Raw,
    pub(crate) score: f32,
}

/// A word of a question: words of tools that may stand for it, and what each of them counts.
type Choice<'i> = Vec<(&'i Term, f32)>;

impl Index {
    /// Knows these tools, by their public names.
    pub(crate) fn of<'t>(tools: impl IntoIterator<Item = (&'t str, &'t Raw)>) -> Self {
        let (mut known, mut all) = (Vec::new(), Vec::new());
        for (name, definition) in tools {
            // One that is no object is in no list.
            let Ok(members) = Members::of(definition) else { continue };
            let fields = Fields::of(name, &members);
            let worth = if fields.is_deprecated() { DEPRECATED } else { 1.0 };
            known.push(Tool { name: name.into(), definition: definition.clone(), worth });
            all.push(fields);
        }
        Self { tools: known, terms: terms(&all), synonyms: Synonyms::new() }
    }

    /// The tools that fit a question best, the best first.
    pub(crate) fn find(&self, question: &str, most: usize) -> Vec<Hit> {
        let mut asked = words(question);
        asked.truncate(MOST_WORDS);
        let together = asked.windows(2).filter_map(|pair| self.terms.get(&pair.concat()));
        let mut scores = vec![0.0_f32; self.tools.len()];
        for term in together {
            let weight = TOGETHER * self.weight(term.len());
            term.iter().for_each(|(tool, counts)| scores[*tool] += weight * counts);
        }
        asked.sort_unstable();
        asked.dedup();
        let (mut covered, mut sum) = (vec![0.0_f32; self.tools.len()], 0.0);
        let (known, strange): (Vec<_>, Vec<_>) =
            asked.iter().map(|word| (word, self.choice(word))).partition(|(_, choice)| !choice.is_empty());
        let strange = strange.into_iter().take(MOST_STRANGE).map(|(word, _)| self.near(word));
        for choice in known.into_iter().map(|(_, choice)| choice).chain(strange) {
            sum += self.count(&choice, &mut scores, &mut covered);
        }
        // What has a bit of everything that was asked is better than what has much of one thing.
        let fitting = scores.iter().zip(&covered).zip(&self.tools).filter(|((score, _), _)| **score > 0.0);
        let worth = |tool: &Tool| if *tool.name == *question.trim() { NAMED } else { tool.worth };
        // Words that count only together have no sum.
        let share = |covered: f32| if sum > 0.0 { covered / sum } else { 1.0 };
        let mut hits: Vec<(f32, &Tool)> = fitting
            .map(|((score, covered), tool)| (score * worth(tool) * (0.4 + 0.6 * share(*covered)), tool))
            .collect();
        hits.sort_by(|(a, one), (b, other)| {
            b.partial_cmp(a).unwrap_or(Ordering::Equal).then_with(|| one.name.cmp(&other.name))
        });
        let hit = |(score, tool): (f32, &Tool)| Hit {
            name: tool.name.clone(),
            definition: tool.definition.clone(),
            score,
        };
        hits.into_iter().take(most).map(hit).collect()
    }

    /// Adds what a word of the question counts for each tool, by that which stands for it best; gives what it can count.
    fn count(&self, choice: &Choice<'_>, scores: &mut [f32], covered: &mut [f32]) -> f32 {
        let mut best = HashMap::<usize, (f32, f32)>::new();
        for (term, nearness) in choice {
            for (tool, counts) in *term {
                let (score, covers) = best.entry(*tool).or_default();
                let other = nearness * counts;
                *score = score.max(other) + AS_WELL * score.min(other);
                *covers = covers.max(*nearness);
            }
        }
        if best.is_empty() {
            return 0.0;
        }
        // All that stand for it together, so that a rare word for a common thing counts no more than a common one.
        let weight = self.weight(best.len());
        for (tool, (counts, covers)) in best {
            scores[tool] += weight * counts;
            covered[tool] += weight * covers;
        }
        weight
    }

    /// How much a word tells that so many tools have: more, the fewer these are.
    fn weight(&self, having: usize) -> f32 {
        let (all, having) = (self.tools.len() as f32, having as f32);
        (1.0 + (all - having + 0.5) / (having + 0.5)).ln()
    }

    /// What stands for a word: itself, and words that mean the same.
    fn choice(&self, word: &str) -> Choice<'_> {
        let itself = self.terms.get(word).map(|term| (term, 1.0));
        let synonyms = self.synonyms.of(word).iter().filter_map(|other| self.terms.get(other));
        itself.into_iter().chain(synonyms.map(|term| (term, SYNONYM))).collect()
    }

    /// What may stand for a word that nobody knows: words that are written nearly so.
    fn near(&self, word: &str) -> Choice<'_> {
        let mut near: Vec<_> = self.terms.iter().filter(|(known, _)| nearly(known, word)).collect();
        near.sort_unstable_by_key(|(known, _)| *known);
        near.into_iter().map(|(_, term)| (term, NEARLY)).collect()
    }
}

/// All words with what they count.
fn terms(all: &[Fields]) -> HashMap<String, Term> {
    let tools = all.len().max(1) as f32;
    let average = |field: usize| all.iter().map(|fields| fields.length(field)).sum::<usize>() as f32 / tools;
    let averages: Vec<f32> = (0..WEIGHTS.len()).map(|field| average(field).max(1.0)).collect();
    let mut terms = HashMap::<String, Term>::new();
    for (place, fields) in all.iter().enumerate() {
        for (word, times) in fields.counts() {
            let frequency: f32 = (0..WEIGHTS.len())
                .map(|field| {
                    let length = fields.length(field) as f32 / averages[field];
                    WEIGHTS[field] * times[field] as f32 / (1.0 - BREVITY + BREVITY * length)
                })
                .sum();
            let counts = frequency * (SATURATION + 1.0) / (frequency + SATURATION);
            terms.entry(word.to_owned()).or_default().push((place, counts));
        }
    }
    terms
}

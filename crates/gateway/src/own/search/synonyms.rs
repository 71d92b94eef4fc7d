//! Words of which one is said for another when people ask for tools.

use std::collections::HashMap;

use super::words::stem;

/// Words of one line can stand for each other.
const GROUPS: &[&str] = &[
    "add append insert attach",
    "add sum plus total calculate",
    "answer reply respond",
    "argument parameter option",
    "ask elicit prompt request",
    "ask question query",
    "audio sound music recording",
    "auth authentication login sign",
    "begin start launch run execute trigger perform",
    "book reserve schedule",
    "build make create generate new",
    "call invoke",
    "call name title",
    "cat head tail read file",
    "change edit modify update alter replace rewrite",
    "chat message conversation",
    "check verify validate test",
    "cloud bucket storage",
    "combine merge join",
    "compare diff difference",
    "compress zip gzip archive pack",
    "config configuration setting preference",
    "connect link relate associate relationship",
    "convert transform translate",
    "copy duplicate clone",
    "cost price charge",
    "cp copy",
    "curl wget http fetch download",
    "customer client",
    "database db table sql",
    "date time when day",
    "delete remove erase forget discard drop",
    "directory folder dir",
    "disk filesystem drive",
    "doc document file page",
    "download fetch get retrieve",
    "email mail inbox",
    "entire whole complete full",
    "entity object item record thing person",
    "environment env",
    "error failure problem bug issue exception",
    "fact observation note detail",
    "fake simulated mock dummy",
    "find search look locate lookup query",
    "first head beginning",
    "forget remember memory",
    "grep search find",
    "info information detail metadata property",
    "last tail end",
    "list enumerate show display",
    "llm model ai",
    "load open read view show",
    "location place address geocode",
    "log trace",
    "long slow",
    "ls dir list directory",
    "many several multiple batch bulk",
    "media image picture photo audio sound video",
    "meeting event appointment calendar",
    "memory remember memorize store know knowledge",
    "mkdir create directory",
    "money payment invoice bill",
    "move rename relocate",
    "msg message",
    "mv move rename",
    "network graph",
    "number numeric integer",
    "overwrite replace",
    "permission access right allow may",
    "person people human someone somebody contact",
    "picture photo image img icon logo",
    "recursive tree nested structure hierarchy",
    "remember note create add save",
    "repeat echo",
    "repo repository",
    "rm delete",
    "send post submit deliver publish",
    "size big large small space",
    "stop end cancel abort terminate halt",
    "switch toggle enable disable turn",
    "ticket issue task todo",
    "tiny small little",
    "type kind sort",
    "user account member",
    "variable var",
    "video movie clip",
    "weather forecast temperature climate",
    "web internet online website url",
    "what which list get show",
    "write save store put",
];

/// What stands for what.
pub(super) struct Synonyms(HashMap<String, Vec<String>>);

impl Synonyms {
    pub(super) fn new() -> Self {
        let mut all = HashMap::<String, Vec<String>>::new();
        for group in GROUPS {
            let stems: Vec<String> = group.split(' ').map(stem).collect();
            for one in &stems {
                let known = all.entry(one.clone()).or_default();
                for other in stems.iter().filter(|other| *other != one) {
                    if !known.contains(other) {
                        known.push(other.clone());
                    }
                }
            }
        }
        Self(all)
    }

    /// Stems that can stand for this one.
    pub(super) fn of(&self, stem: &str) -> &[String] {
        self.0.get(stem).map_or(&[], Vec::as_slice)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_a_line_stand_for_each_other_and_never_for_themselves() {
        let synonyms = Synonyms::new();
        let of = |word: &str| synonyms.of(&stem(word)).to_vec();
        assert!(of("folder").contains(&stem("directory")) && of("directories").contains(&stem("folder")));
        assert!(of("zebra").is_empty());
        for (stem, others) in &synonyms.0 {
            assert!(!others.contains(stem), "{stem}");
        }
    }
}

//! Whether a chain of thought is in one language: the one that was asked for.
//!
//! Fine-R1's authors found texts of mixed languages and put them into English by hand; here they are asked
//! for anew. <https://arxiv.org/abs/2602.07605>, section 4.2.

use whatlang::{Detector, Lang, Script};

/// Letters of another script that a text may have: a name, a unit.
const STRANGE_SHARE: f64 = 0.01;
/// As many of them are no name any more, however long the text.
const MOST_STRANGE: usize = 8;
/// Shorter paragraphs are too short to tell a language by.
const SHORTEST_PARAGRAPH: usize = 80;
/// The same of sentences, which are full of names.
const SHORTEST_SENTENCE: usize = 60;

/// The language of a code such as `en` or `eng`.
#[must_use]
pub fn language(code: &str) -> Option<Lang> {
    let code = code.to_lowercase();
    Lang::from_code(&code).or_else(|| {
        let two = [
            ("en", Lang::Eng),
            ("de", Lang::Deu),
            ("fr", Lang::Fra),
            ("es", Lang::Spa),
            ("it", Lang::Ita),
            ("pt", Lang::Por),
            ("nl", Lang::Nld),
            ("pl", Lang::Pol),
            ("ru", Lang::Rus),
            ("ja", Lang::Jpn),
            ("ko", Lang::Kor),
            ("zh", Lang::Cmn),
        ];
        two.into_iter().find_map(|(short, language)| (short == code).then_some(language))
    })
}

/// Why a text is not in `wanted`, where it is not. Names that stand in it are looked over: they are in
/// whatever language their owners speak.
///
/// # Errors
/// The text as a whole, one of its paragraphs or one of its sentences is in another language or script.
pub fn check(text: &str, names: &[String], wanted: Lang) -> Result<(), String> {
    let mut plain = text.to_owned();
    for name in names {
        plain = plain.replace(name.as_str(), " ");
    }
    let letters = plain.chars().filter(|letter| letter.is_alphabetic());
    let (mut count, mut strange) = (0_usize, 0_usize);
    for letter in letters {
        count += 1;
        strange += usize::from(is_strange(letter, wanted));
    }
    if strange > MOST_STRANGE || strange as f64 > STRANGE_SHARE * count as f64 {
        return Err(format!("{strange} of {count} letters are of another script"));
    }
    let detector = Detector::new();
    let whole = std::iter::once(plain.as_str());
    let paragraphs = plain.split("\n\n").filter(|paragraph| paragraph.chars().count() >= SHORTEST_PARAGRAPH);
    let sentences =
        plain.split(['.', '!', '?', '\n']).filter(|sentence| sentence.chars().count() >= SHORTEST_SENTENCE);
    for piece in whole.chain(paragraphs).chain(sentences) {
        if let Some(found) = detector.detect(piece)
            && found.lang() != wanted
            && found.is_reliable()
        {
            return Err(format!("it reads as {}, not {}", found.lang().eng_name(), wanted.eng_name()));
        }
    }
    Ok(())
}

/// Whether a letter belongs to none of the scripts that `wanted` is written in.
fn is_strange(letter: char, wanted: Lang) -> bool {
    let script = whatlang::detect_script(letter.encode_utf8(&mut [0; 4]));
    match script {
        None | Some(Script::Latin) => false,
        Some(script) => !script.langs().contains(&wanted),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENGLISH: &str = "The bird has a bright yellow belly and a black hood that reaches down to the breast, \
        while its wings show two white bars. The bill is long, thin and slightly curved.";
    const GERMAN: &str = "Der Vogel hat einen leuchtend gelben Bauch und eine schwarze Haube, die bis zur Brust \
        reicht, während seine Flügel zwei weiße Binden zeigen. Der Schnabel ist lang und dünn.";

    #[test]
    fn one_language_passes_and_a_mixture_does_not() {
        assert_eq!(check(ENGLISH, &[], Lang::Eng), Ok(()));
        assert_eq!(check(GERMAN, &[], Lang::Deu), Ok(()));
        assert!(check(GERMAN, &[], Lang::Eng).unwrap_err().contains("German"));
        assert!(check(&format!("{ENGLISH} {ENGLISH} {ENGLISH}\n\n{GERMAN}"), &[], Lang::Eng).is_err());
        // A sentence in the middle of a long text.
        let long = format!("{ENGLISH} ").repeat(12);
        let (german, _) = GERMAN.split_once(". ").expect("two sentences");
        assert!(check(&format!("{long}{german}. {long}"), &[], Lang::Eng).unwrap_err().contains("German"));
        let chinese = "这架飞机的机身很长，机翼下有两台发动机。";
        assert!(check(&format!("{long}{chinese} {long}"), &[], Lang::Eng).unwrap_err().contains("script"));
        let mixed = ENGLISH.replace("black hood", "黑色的头罩");
        assert!(check(&mixed, &[], Lang::Eng).unwrap_err().contains("script"));
    }

    #[test]
    fn a_name_may_be_in_any_language() {
        let names = ["Мрія".to_owned()];
        let text = format!("{ENGLISH} It looks like the Мрія in many ways.");
        assert_eq!(check(&text, &names, Lang::Eng), Ok(()));
        assert!(check(&text, &[], Lang::Eng).is_err());
    }

    #[test]
    fn codes_have_two_or_three_letters() {
        assert_eq!(language("en"), Some(Lang::Eng));
        assert_eq!(language("DEU"), Some(Lang::Deu));
        assert_eq!(language("xx"), None);
    }
}

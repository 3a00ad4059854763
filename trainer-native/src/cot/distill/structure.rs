//! The four parts that a teacher writes, read back from its answer: Fine-R1 section 4.2 and appendix C,
//! <https://arxiv.org/abs/2602.07605>.

/// The tags, in the order in which a teacher is asked for them.
pub const PARTS: [&str; 4] = ["analysis", "options", "comparison", "prediction"];

/// An entry of the list of candidates that is longer than this is a sentence.
const LONGEST_NAME: usize = 80;

/// A chain of thought as the teacher wrote it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Structured {
    /// What is seen.
    pub analysis: String,
    /// The names that are weighed.
    pub candidates: Vec<String>,
    /// How they differ.
    pub comparison: String,
    /// The name that is left.
    pub prediction: String,
}

impl Structured {
    /// Reads an answer.
    ///
    /// # Errors
    /// A part is missing, empty, there twice or in the wrong place, or a candidate is no name.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut found = Vec::new();
        let mut rest = text;
        for part in PARTS {
            let (open, close) = (format!("<{part}>"), format!("</{part}>"));
            for tag in [&open, &close] {
                match text.matches(tag.as_str()).count() {
                    1 => {}
                    0 => return Err(format!("{tag} is missing")),
                    count => return Err(format!("{tag} is there {count} times")),
                }
            }
            let inside = rest
                .split_once(open.as_str())
                .and_then(|(_, rest)| rest.split_once(close.as_str()))
                .ok_or_else(|| format!("<{part}> is in the wrong place"))?;
            let content = inside.0.trim();
            if content.is_empty() {
                return Err(format!("<{part}> is empty"));
            }
            found.push(content);
            rest = inside.1;
        }
        let [analysis, options, comparison, prediction] = found[..] else { unreachable!("four parts") };
        Ok(Self {
            analysis: analysis.to_owned(),
            candidates: names(options)?,
            comparison: comparison.to_owned(),
            prediction: predicted(prediction),
        })
    }
}

/// One name a line, or all in one line between commas; bullets, numbers and emphasis are taken away.
fn names(list: &str) -> Result<Vec<String>, String> {
    let lines: Vec<&str> = list.lines().filter(|line| !line.trim().is_empty()).collect();
    let entries: Vec<&str> = match lines[..] {
        [line] => line.split([',', ';']).collect(),
        _ => lines,
    };
    let names: Vec<String> = entries
        .into_iter()
        .map(|entry| bare(without_bullet(entry)))
        .filter(|name| name.contains(char::is_alphanumeric))
        .collect();
    match names.iter().find(|name| name.chars().count() > LONGEST_NAME) {
        Some(sentence) => Err(format!("<options> holds a sentence: {sentence}")),
        None if names.is_empty() => Err("<options> holds no name".to_owned()),
        None => Ok(names),
    }
}

/// `- X`, `* X`, `• X`, `1. X`, `1) X`, `(1) X` without what stands before `X`.
#[must_use]
pub fn without_bullet(entry: &str) -> &str {
    let entry = entry.trim();
    if let Some(rest) = ["- ", "* ", "• ", "– "].iter().find_map(|bullet| entry.strip_prefix(bullet)) {
        return rest.trim_start();
    }
    let number = entry.trim_start_matches('(');
    let rest = number.trim_start_matches(|letter: char| letter.is_ascii_digit());
    let is_number = rest.len() < number.len() && number.len() - rest.len() <= 2;
    match rest.strip_prefix(". ").or_else(|| rest.strip_prefix(") ")) {
        Some(rest) if is_number => rest.trim_start(),
        _ => entry,
    }
}

/// Emphasis and quotes around a name.
const DRESS: [char; 6] = ['*', '"', '“', '”', '`', '\''];

/// A name without emphasis, quotes and a full stop.
#[must_use]
pub fn bare(name: &str) -> String {
    let is_dress = |letter: char| letter.is_whitespace() || DRESS.contains(&letter);
    let name = name.trim_start_matches(is_dress);
    name.trim_end_matches(|letter| is_dress(letter) || ['.', ',', ';'].contains(&letter)).to_owned()
}

/// The name of the last part, also where it came with the words of the released data.
fn predicted(text: &str) -> String {
    let lower = text.to_lowercase();
    let openings = ["the prediction is:", "the prediction is", "prediction:"];
    let rest = openings
        .iter()
        .find(|opening| lower.starts_with(**opening))
        .and_then(|opening| text.get(opening.len()..))
        .unwrap_or(text);
    bare(rest)
}

/// A name as names are compared: lower case, one space between words, no quotes or final stops.
#[must_use]
pub fn normalised(name: &str) -> String {
    let words = bare(name).replace('_', " ").to_lowercase();
    words.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(options: &str, prediction: &str) -> String {
        format!(
            "Sure!\n<analysis>\nGrey head.\n</analysis>\n<options>{options}</options>\n<comparison>A differs.\n\
             B does not.</comparison>\n<prediction>{prediction}</prediction>\n"
        )
    }

    #[test]
    fn lists_come_in_many_forms() {
        for (options, expected) in [
            ("\nScott Oriole\nHooded Oriole\n", vec!["Scott Oriole", "Hooded Oriole"]),
            ("- Scott Oriole\n- **Hooded Oriole**.", vec!["Scott Oriole", "Hooded Oriole"]),
            ("1. 737-300\n2) \"A320\"\n(3) 707", vec!["737-300", "A320", "707"]),
            ("A320, A321; 737-300.", vec!["A320", "A321", "737-300"]),
            ("* BMW 3 Series Sedan 2012", vec!["BMW 3 Series Sedan 2012"]),
            ("Bugatti Veyron 16.4 Coupe 2009", vec!["Bugatti Veyron 16.4 Coupe 2009"]),
        ] {
            let found = Structured::parse(&text(options, "x")).unwrap();
            assert_eq!(found.candidates, expected, "{options}");
            assert_eq!(found.comparison, "A differs.\nB does not.");
        }
        let sentence =
            "The first that comes to mind because of its long and slender body is certainly the A340-600";
        assert!(
            Structured::parse(&text(&format!("A320\n{sentence}"), "x")).unwrap_err().contains("sentence")
        );
        assert!(Structured::parse(&text("- \n", "x")).is_err());
    }

    #[test]
    fn the_prediction_is_a_name() {
        for written in ["A320", "The prediction is A320.", "the prediction is: **A320**", "Prediction: A320"]
        {
            assert_eq!(Structured::parse(&text("A", written)).unwrap().prediction, "A320", "{written}");
        }
    }

    #[test]
    fn what_is_missing_or_misplaced_is_named() {
        let whole = text("A", "A");
        for part in PARTS {
            for tag in [format!("<{part}>"), format!("</{part}>")] {
                let error = Structured::parse(&whole.replace(&tag, "")).unwrap_err();
                assert_eq!(error, format!("{tag} is missing"));
                let error = Structured::parse(&whole.replace(&tag, &format!("{tag}{tag}"))).unwrap_err();
                assert_eq!(error, format!("{tag} is there 2 times"));
            }
        }
        assert!(Structured::parse(&text(" \n", "A")).unwrap_err().contains("<options> is empty"));
        let swapped =
            "<options>A</options><analysis>x</analysis><comparison>x</comparison><prediction>A</prediction>";
        assert!(Structured::parse(swapped).unwrap_err().contains("wrong place"));
    }

    #[test]
    fn names_are_compared_without_dress() {
        assert_eq!(normalised(" \"Scott_Oriole\". "), "scott oriole");
        assert_eq!(normalised("'**Scott  Oriole.**'"), "scott oriole");
        assert_ne!(normalised("Scott's Oriole"), normalised("Scott Oriole"));
    }
}

//! What is counted of the answers to one question.

use super::{Record, Row, Settings, Task};

/// What is counted of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Measure {
    /// Answers that are the true name; of several samples their share.
    Exact,
    /// The answer that most samples gave.
    Majority,
    /// Any of the samples.
    Pass,
    /// The true name is contained in what the released evaluation takes for the choice.
    Substring,
    /// The released rule of the open world.
    Inclusion,
}

impl Measure {
    /// As keys of lines have it.
    #[must_use]
    pub fn key(self) -> &'static str {
        match self {
            Self::Exact => "exact",
            Self::Majority => "majority",
            Self::Pass => "pass",
            Self::Substring => "substring",
            Self::Inclusion => "inclusion",
        }
    }

    /// As tables call it.
    #[must_use]
    pub fn title(self, task: Task, samples: usize) -> String {
        match (self, task) {
            (Self::Exact, Task::ClosedWorld) => "exact".into(),
            (Self::Exact, Task::OpenWorld) => "exact name".into(),
            (Self::Majority, _) => format!("majority of {samples}"),
            (Self::Pass, _) => format!("pass@{samples}"),
            (Self::Substring, _) => "released substring rule".into(),
            (Self::Inclusion, _) => "text inclusion".into(),
        }
    }

    /// The value of one row's answers, from 0 to 1: a mean over samples, where it is no vote.
    #[must_use]
    pub fn value(self, settings: &Settings, row: &Row, record: &Record, is_car: bool) -> f64 {
        let released = |is_right: &dyn Fn(&str) -> bool| {
            let answers = record.released_answers(settings);
            answers.iter().filter(|answer| is_right(answer)).count() as f64 / answers.len() as f64
        };
        match self {
            Self::Exact => record.exact_share(row),
            Self::Majority => f64::from(u8::from(record.exact)),
            Self::Pass => f64::from(u8::from(record.any_exact(row))),
            Self::Substring => released(&|answer| row.is_substring(answer)),
            Self::Inclusion => released(&|answer| row.is_included(answer, is_car)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evaluate::rows::tests::row;
    use crate::evaluate::settings::tests::settings;
    use crate::evaluate::{Output, Variant};

    /// Three samples: right and tagged, right among others, and right without a tag.
    #[test]
    fn measures_agree_with_hand_computed_cases() {
        let outputs = ["<think>x</think><answer>a320</answer>", "<answer>A319 or A320</answer>", "A320"];
        let samples = outputs.map(|text| Output { text: text.into(), new_tokens: 1, stop: None }).to_vec();
        let asked = |prompt: &str, task| Settings { task, prompt: prompt.into(), ..settings(Variant::Plain) };
        let tagged = asked("{question} <answer>", Task::ClosedWorld);
        let record = Record::written(&tagged, "id", &row(), 0, samples);
        let value = |measure: Measure, settings: &Settings| measure.value(settings, &row(), &record, false);
        assert!((value(Measure::Exact, &tagged) - 2.0 / 3.0).abs() < 1e-12);
        assert_eq!((value(Measure::Majority, &tagged), value(Measure::Pass, &tagged)), (1.0, 1.0));
        // Without a tag the released closed world hears nothing, unless no tag was asked for.
        assert!((value(Measure::Substring, &tagged) - 2.0 / 3.0).abs() < 1e-12);
        assert_eq!(value(Measure::Substring, &asked("{question}", Task::ClosedWorld)), 1.0);
        // The released open world then hears everything.
        assert_eq!(value(Measure::Inclusion, &asked("{question} <answer>", Task::OpenWorld)), 1.0);
        // Votes are for names, letter case aside.
        assert_eq!(record.shares.iter().sum::<f64>(), 2.0 / 3.0);
    }
}

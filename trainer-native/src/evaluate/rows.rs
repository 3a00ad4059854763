//! One labelled photo, and what counts as the right answer about it.
//!
//! Rules of the released evaluation:
//! <https://github.com/PKU-ICST-MIPL/FineR1_ICLR2026/blob/2c656a35cb7f66875e12a3053c79834d3c4266af/eval/evaluation.py>.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::path::PathBuf;

/// One question about one photo.
#[derive(Debug, Clone)]
pub struct Row {
    /// The photo as the file names it.
    pub image: String,
    /// The photo's place on disk.
    pub image_path: PathBuf,
    /// What is asked, without options.
    pub question: String,
    /// The names to choose from, in the file's order until shuffled.
    pub options: Vec<String>,
    /// The true name.
    pub ground_truth: String,
}

/// A name without letter case, underscores, and space around it.
#[must_use]
pub fn plain(name: &str) -> String {
    name.trim().to_lowercase().replace('_', " ")
}

/// What the released evaluation takes for the answer: all between the first `<answer>` and the last
/// `</answer>`, or nothing.
#[must_use]
pub fn tagged_answer(output: &str) -> Option<&str> {
    let (_, rest) = output.split_once("<answer>")?;
    let (inside, _) = rest.rsplit_once("</answer>")?;
    Some(inside.trim()).filter(|inside| !inside.is_empty())
}

impl Row {
    /// The options in an order that depends on the seed and the row's number alone.
    #[must_use]
    pub fn shuffled(&self, seed: u64, number: usize) -> Vec<String> {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        random.set_stream(number as u64);
        let mut options = self.options.clone();
        for last in (1..options.len()).rev() {
            options.swap(last, (random.next_u64() % (last as u64 + 1)) as usize);
        }
        options
    }

    /// Whether an answer is the true name, letter case and underscores aside.
    #[must_use]
    pub fn is_exact(&self, answer: &str) -> bool {
        plain(answer) == plain(&self.ground_truth)
    }

    /// The released rule: the true name is contained in the answer.
    #[must_use]
    pub fn is_substring(&self, answer: &str) -> bool {
        plain(answer).contains(&self.ground_truth.to_lowercase().replace('_', " "))
    }

    /// The released rule of the open world; of a car's name, body and year need not be said.
    #[must_use]
    pub fn is_included(&self, answer: &str, is_car: bool) -> bool {
        let truth = self.ground_truth.to_lowercase();
        let words: Vec<&str> = truth.split_whitespace().collect();
        let truth = match words.len().checked_sub(2) {
            Some(kept) if is_car && kept > 0 => words[..kept].join(" "),
            _ => truth.replace('_', " "),
        };
        answer.to_lowercase().contains(&truth)
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// A row about an A320.
    pub fn row() -> Row {
        Row {
            image: "a320/1.jpg".into(),
            image_path: PathBuf::new(),
            question: "Which aircraft is this?".into(),
            options: ["A320", "A319", "A321", "737-300"].map(str::to_owned).to_vec(),
            ground_truth: "A320".into(),
        }
    }

    #[test]
    fn a_seed_fixes_the_order_and_every_place_is_equally_likely() {
        let row = row();
        assert_eq!(row.shuffled(3, 5), row.shuffled(3, 5));
        let mut places = [0; 4];
        for number in 0..4000 {
            let place = row.shuffled(1, number).iter().position(|name| *name == row.ground_truth);
            places[place.expect("still among them")] += 1;
        }
        // Four standard deviations of a binomial count of 1000.
        assert!(places.iter().all(|count: &i32| (count - 1000).abs() < 110), "{places:?}");
    }

    #[test]
    fn exact_and_substring_differ_where_an_answer_lists_names() {
        let row = row();
        assert!(row.is_exact(" a320 ") && !row.is_exact("A320, A319"));
        assert!(row.is_substring("A319 or A320") && !row.is_substring("A319"));
        let collie = Row { ground_truth: "Border_Collie".into(), ..row };
        assert!(collie.is_exact("border collie") && collie.is_substring("a Border_Collie"));
    }

    #[test]
    fn a_car_needs_neither_body_nor_year() {
        let car = Row { ground_truth: "Honda Accord Coupe 2012".into(), ..row() };
        assert!(car.is_included("a Honda Accord", true) && !car.is_included("a Honda Accord", false));
        assert!(!car.is_included("a Honda", true));
        // Nothing would be left of it, and nothing is contained in everything.
        assert!(!row().is_included("a bird", true) && row().is_included("an a320", true));
    }

    #[test]
    fn the_released_answer_goes_from_the_first_tag_to_the_last() {
        assert_eq!(tagged_answer("<think>x</think><answer> A320\n</answer>"), Some("A320"));
        assert_eq!(
            tagged_answer("<answer>a</answer> or <answer>b</answer>"),
            Some("a</answer> or <answer>b")
        );
        assert_eq!(tagged_answer("A320"), None);
        assert_eq!(tagged_answer("<answer>A320"), None);
        assert_eq!(tagged_answer("<answer> </answer>"), None);
    }
}

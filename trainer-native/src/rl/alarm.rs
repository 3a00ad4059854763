//! What should worry, with its cause by name.
//!
//! The signs of a hacked contrast are those that PAPO's authors give in section 5 of
//! <https://arxiv.org/abs/2507.06448>; answers that list several names are what users of a related project met:
//! <https://github.com/Liuziyu77/Visual-RFT/issues/79>.

use super::log::LogLine;

/// So many steps are held against as many before them.
const WINDOW: usize = 5;
/// Share of right answers with several names from which on somebody should look.
const SEVERAL_NAMES: f64 = 0.2;
/// Share of tokens that the upper clip may hold back without being a sign.
const CLIPPED: f64 = 0.02;
/// Entropy, in nats, below which hardly anything is tried.
const COLLAPSED: f64 = 0.02;

/// The worries of a step; `history` has the steps before it, oldest first.
#[must_use]
pub fn alarms(history: &[LogLine], now: &LogLine, wanted_groups: usize) -> Vec<String> {
    let mut found = Vec::new();
    if now.updates_skipped > 0 {
        found.push(format!(
            "not a number: {} updates changed nothing, their loss or gradient was NaN or infinite; lower \
             update.learning_rate",
            now.updates_skipped
        ));
    }
    if now.groups_used == 0 {
        found.push(format!(
            "all groups filtered: none of {} taught anything in {} rounds",
            now.groups_drawn, now.tries
        ));
    } else if now.groups_used < wanted_groups {
        found.push(format!(
            "few groups: {} of {wanted_groups} after {} rounds; the step is noisier",
            now.groups_used, now.tries
        ));
    }
    if now.groups_used > 0 && now.answers_weighed == 0 && now.updates_skipped == 0 {
        found.push(
            "no answer differs in reward from the others of its group: all advantages are 0; filter.enabled=true draws \
             until some do, more answers or a higher rollout.temperature make them differ"
                .to_owned(),
        );
    }
    if now.several_names > SEVERAL_NAMES {
        found.push(format!(
            "reward hacking: {:.0} % of the right answers name several classes; set parity.accuracy=single_label",
            100.0 * now.several_names
        ));
    }
    let learnt: Vec<&LogLine> = history
        .iter()
        .chain([now])
        .filter(|line| line.groups_used > 0 && line.updates_skipped == 0)
        .collect();
    let (Some(last), Some(first)) = (learnt.last_chunk::<WINDOW>(), learnt.first_chunk::<WINDOW>()) else {
        return found;
    };
    if learnt.len() < 2 * WINDOW {
        return found;
    }
    let before = &learnt[learnt.len() - 2 * WINDOW..learnt.len() - WINDOW];
    let mean = |lines: &[&LogLine], pick: fn(&LogLine) -> f64| {
        lines.iter().map(|line| pick(line)).sum::<f64>() / lines.len() as f64
    };
    let rises = |pick: fn(&LogLine) -> f64, factor: f64, least: f64| {
        mean(last, pick) > (factor * mean(before, pick)).max(least)
    };
    let signs = [
        ("the contrast has doubled", rises(|line| line.loss.contrast, 2.0, 0.1)),
        ("the upper clip holds more back", rises(|line| line.loss.clip_high, 1.5, CLIPPED)),
        ("entropy rises", rises(|line| line.loss.entropy, 1.2, 0.1)),
        ("entropy under the contrast rises", rises(|line| line.loss.contrast_entropy, 1.2, 0.1)),
    ];
    let seen: Vec<&str> = signs.iter().filter(|(_, is_seen)| *is_seen).map(|(sign, _)| *sign).collect();
    // Any policy that begins to look doubles its contrast; together with another sign it is being gamed.
    if signs[0].1 && seen.len() > 1 {
        found.push(format!(
            "contrast hacking: {}; lower the contrast's coefficient, or raise entropy.own and entropy.contrast",
            seen.join(", ")
        ));
    }
    let entropy = mean(last, |line| line.loss.entropy);
    if entropy < COLLAPSED && entropy < 0.1 * mean(first, |line| line.loss.entropy) {
        found.push(format!(
            "entropy collapse: {entropy:.4} nats; a higher rollout.temperature or policy.clip_high keeps trying"
        ));
    }
    let (length, at_first) = (mean(last, |line| line.answer_tokens), mean(first, |line| line.answer_tokens));
    if length > 2.0 * at_first {
        found.push(format!(
            "length explosion: from {at_first:.0} to {length:.0} tokens an answer; see reward.overlong"
        ));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rl::gather::Gathered;

    fn line(change: impl Fn(&mut LogLine)) -> LogLine {
        let mut line = LogLine::new(1, 100, 10, &Gathered::default());
        (line.groups_used, line.groups_drawn, line.answer_tokens) = (4, 4, 30.0);
        line.answers_weighed = 20;
        (line.loss.entropy, line.loss.contrast, line.loss.contrast_entropy) = (0.5, 0.3, 0.6);
        change(&mut line);
        line
    }

    fn after(steady: usize, changed: usize, change: impl Fn(&mut LogLine)) -> Vec<String> {
        let mut history: Vec<LogLine> = (0..steady).map(|_| line(|_| ())).collect();
        history.extend((0..changed).map(|_| line(&change)));
        let now = history.pop().expect("a step");
        alarms(&history, &now, 4)
    }

    #[test]
    fn a_steady_run_is_quiet() {
        assert_eq!(after(20, 0, |_| ()), Vec::<String>::new());
        assert_eq!(after(10, 5, |line| line.loss.contrast = 1.0), Vec::<String>::new(), "looking is no hack");
    }

    #[test]
    fn every_worry_has_its_name() {
        let named = |found: Vec<String>, name: &str| {
            assert!(found.len() == 1 && found[0].starts_with(name), "{name}: {found:?}");
        };
        named(after(0, 1, |line| line.updates_skipped = 2), "not a number");
        named(after(0, 1, |line| line.groups_used = 0), "all groups filtered");
        named(after(0, 1, |line| line.groups_used = 3), "few groups");
        named(after(0, 1, |line| line.answers_weighed = 0), "no answer differs in reward");
        named(after(0, 1, |line| line.several_names = 0.5), "reward hacking");
        named(after(10, 5, |line| line.loss.entropy = 0.01), "entropy collapse");
        named(after(10, 5, |line| line.answer_tokens = 90.0), "length explosion");
        let hacked = after(10, 5, |line| {
            (line.loss.contrast, line.loss.entropy, line.loss.contrast_entropy) = (2.0, 1.5, 2.0);
            line.loss.clip_high = 0.3;
        });
        assert_eq!(hacked[0].matches(", ").count(), 4, "four signs and a remedy: {hacked:?}");
        named(hacked, "contrast hacking");
    }

    #[test]
    fn the_lower_clip_is_no_sign_of_a_hacked_contrast() {
        let with = |change: fn(&mut LogLine)| {
            after(10, 5, |line| {
                line.loss.contrast = 1.0;
                change(line);
            })
        };
        assert_eq!(with(|line| line.loss.clip_low = 0.3), Vec::<String>::new());
        assert_eq!(with(|line| line.loss.clip_high = 0.3).len(), 1);
    }
}

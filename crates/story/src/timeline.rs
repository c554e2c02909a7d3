//! What happened when: as text, and as a picture.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

/// Something that was done or seen.
#[derive(Clone, Debug)]
pub(crate) struct Note {
    pub(crate) at: Duration,
    pub(crate) text: String,
}

/// Who held the address, sampled.
#[derive(Clone, Debug)]
pub(crate) struct Sample {
    pub(crate) at: Duration,
    /// For each VM by its place in the deployment.
    pub(crate) holds: Vec<bool>,
}

/// One step of the story and what it cost the client.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    pub(crate) name: String,
    pub(crate) began: Duration,
    pub(crate) ended: Duration,
    pub(crate) asked: usize,
    /// Nobody answered.
    pub(crate) lost: usize,
    /// Connected when the address moved, and unknown to the router that has it now.
    pub(crate) cut: usize,
    /// The longest time without an answer.
    pub(crate) outage: Duration,
    /// What was to be reached.
    pub(crate) goal: String,
    /// The longest time without an answer that reaches it.
    pub(crate) limit: Duration,
    pub(crate) reached: bool,
}

/// All of it.
#[derive(Debug)]
pub(crate) struct Timeline {
    started: Instant,
    pub(crate) notes: Vec<Note>,
    pub(crate) steps: Vec<Step>,
    pub(crate) samples: Vec<Sample>,
}

impl Timeline {
    pub(crate) fn new() -> Self {
        Self { started: Instant::now(), notes: Vec::new(), steps: Vec::new(), samples: Vec::new() }
    }

    pub(crate) fn started(&self) -> Instant {
        self.started
    }

    pub(crate) fn now(&self) -> Duration {
        self.started.elapsed()
    }

    pub(crate) fn note(&mut self, text: impl Into<String>) {
        let note = Note { at: self.now(), text: text.into() };
        crate::say(&format!("{:>7.1} s  {}", note.at.as_secs_f64(), note.text));
        self.notes.push(note);
    }

    /// The story as text.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a String cannot fail.
        for note in &self.notes {
            let _ = writeln!(text, "{:>7.1} s  {}", note.at.as_secs_f64(), note.text);
        }
        let _ = writeln!(text, "\n{}", self.table());
        text
    }

    /// The steps as a table.
    pub(crate) fn table(&self) -> String {
        let mut text = String::from(
            "| step | requests | lost | cut while under way | longest outage | to reach | reached |\n|---|---|---|---|---|---|---|\n",
        );
        for step in &self.steps {
            let _ = writeln!(
                text,
                "| {} | {} | {} | {} | {:.0} ms | {} | {} |",
                step.name,
                step.asked,
                step.lost,
                step.cut,
                step.outage.as_secs_f64() * 1000.0,
                step.goal,
                if step.reached { "yes" } else { "**no**" }
            );
        }
        text
    }

    /// The same as a picture: a column for each step, however long it took; in it a lane for each VM, filled while
    /// it holds the address, and the requests lost.
    pub(crate) fn svg(&self, lanes: &[&str]) -> String {
        const WIDTH: f64 = 1200.0;
        const LEFT: f64 = 110.0;
        const LANE: f64 = 34.0;
        const TOP: f64 = 112.0;
        #[allow(clippy::cast_precision_loss, reason = "a handful of steps and lanes")]
        let place = |number: usize| number as f64;
        let column = (WIDTH - LEFT - 10.0) / place(self.steps.len().max(1));
        let lane_y = |lane: usize| TOP + LANE * place(lane);
        let bottom = lane_y(lanes.len() + 1);
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {:.0}\" font-family=\"sans-serif\" \
             font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n\
             <text x=\"10\" y=\"24\" font-size=\"16\">Who holds the virtual address, and what the client lost</text>\n",
            bottom + 40.0
        );
        // Writing to a String cannot fail.
        for (number, step) in self.steps.iter().enumerate() {
            let left = LEFT + column * place(number);
            let shade = if number % 2 == 0 { "#f2f4f7" } else { "#e6eaf0" };
            let _ = writeln!(
                svg,
                "<rect x=\"{left:.1}\" y=\"40\" width=\"{column:.1}\" height=\"{:.1}\" fill=\"{shade}\"/>",
                bottom - 10.0
            );
            for (row, line) in wrapped(&step.name, 24).iter().enumerate() {
                let y = 56.0 + 14.0 * place(row);
                let _ = writeln!(svg, "<text x=\"{:.1}\" y=\"{y:.0}\">{}</text>", left + 6.0, escaped(line));
            }
            let length = step.ended.saturating_sub(step.began).as_secs_f64().max(0.001);
            let x = |at: Duration| left + column * at.saturating_sub(step.began).as_secs_f64() / length;
            for lane in 0..lanes.len() {
                for (from, to) in self.held(lane) {
                    let (from, to) = (from.max(step.began), to.min(step.ended));
                    if from < to {
                        let _ = writeln!(
                            svg,
                            "<rect x=\"{:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"18\" fill=\"#2f7d4f\"/>",
                            x(from),
                            lane_y(lane) + 7.0,
                            (x(to) - x(from)).max(1.0)
                        );
                    }
                }
            }
            let cut = if step.cut == 0 { String::new() } else { format!(", {} cut", step.cut) };
            let colour = if step.lost == 0 { "#2f7d4f" } else { "#b3261e" };
            let _ = writeln!(
                svg,
                "<text x=\"{:.1}\" y=\"{:.1}\" fill=\"{colour}\">{} of {} lost{cut}</text>\n\
                 <text x=\"{:.1}\" y=\"{:.1}\" fill=\"#555\">{length:.1} s</text>",
                left + 6.0,
                lane_y(lanes.len()) + 20.0,
                step.lost,
                step.asked,
                left + 6.0,
                bottom + 18.0
            );
        }
        for (lane, name) in lanes.iter().copied().chain(["requests"]).enumerate() {
            let _ = writeln!(svg, "<text x=\"10\" y=\"{:.1}\">{}</text>", lane_y(lane) + 20.0, escaped(name));
        }
        svg.push_str("</svg>\n");
        svg
    }

    /// When the VM of this lane held the address.
    fn held(&self, lane: usize) -> Vec<(Duration, Duration)> {
        let mut spans: Vec<(Duration, Duration)> = Vec::new();
        let mut held = false;
        for sample in &self.samples {
            let holds = sample.holds.get(lane).copied().unwrap_or(false);
            match spans.last_mut() {
                Some(span) if held => span.1 = sample.at,
                _ if holds => spans.push((sample.at, sample.at)),
                _ => {}
            }
            held = holds;
        }
        spans
    }
}

/// Lines of no more than `width` letters where words allow.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.len() + 1 + word.len() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_picture_has_a_bar_for_each_time_the_address_was_held() {
        let mut timeline = Timeline::new();
        let s = Duration::from_secs;
        timeline.samples = [(1, true), (2, true), (3, false), (4, true), (5, true)]
            .map(|(at, holds)| Sample { at: s(at), holds: vec![holds] })
            .into();
        timeline.steps = vec![Step {
            name: "a < b".into(),
            began: s(1),
            ended: s(5),
            asked: 10,
            lost: 0,
            cut: 1,
            outage: Duration::ZERO,
            goal: "0".into(),
            limit: Duration::ZERO,
            reached: true,
        }];
        assert_eq!(timeline.held(0), [(s(1), s(3)), (s(4), s(5))]);
        let svg = timeline.svg(&["10.0.0.1"]);
        assert_eq!(svg.matches("height=\"18\"").count(), 2);
        assert!(svg.contains("a &lt; b") && svg.ends_with("</svg>\n"));
    }
}

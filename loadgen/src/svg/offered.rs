//! Clients served against clients offered: a pool's line turns flat at its capacity.

use maud::{Markup, html};

use super::data::OfferedLine;
use super::plot::{Axis, HEIGHT, Plot, across, path, plain, spaced, upwards};
use super::scale::Scale;
use super::{place, series_class};

/// The lines, those with the same points drawn once and named together, and these names in the
/// order of their colours.
#[must_use]
pub fn offered(lines: &[OfferedLine]) -> (Markup, Vec<String>) {
    let groups = together(lines);
    let points = || lines.iter().flat_map(|line| &line.points);
    let most = points().map(|(asked, _)| *asked).max().unwrap_or(1);
    let least = points().map(|(asked, _)| *asked).min().unwrap_or(1);
    let x = Scale::log((f64::from(least), f64::from(most)), across());
    // Both sides grow by ratios, so that "as many as come" is a straight line.
    let y = Scale::log((1.0, f64::from(most)), upwards(HEIGHT));
    let mut asked = Axis::new("clients that want to talk", x, plain);
    asked.ticks = spaced(points().map(|(asked, _)| f64::from(*asked)), x, plain);
    let mut answered = Axis::new("clients served", y, plain);
    answered.ticks = spaced(points().map(|(_, served)| f64::from(*served)), y, plain);
    let plot = Plot {
        x: asked,
        y: answered,
        height: HEIGHT,
    };
    let summary: Vec<String> = groups
        .iter()
        .map(|(name, points)| tell(name, points))
        .collect();
    let at = |(asked, served): &(u32, u32)| (x.at(f64::from(*asked)), y.at(f64::from(*served)));
    let marks = html! {
        @for (index, (_, points)) in groups.iter().enumerate() {
            @let class = series_class(index);
            path class={ "line " (class) } d=(path(points.iter().map(at))) {}
            @for point in *points {
                @let (px, py) = at(point);
                circle class={ "dot " (class) } cx=(place(px)) cy=(place(py)) r="3" {}
            }
        }
    };
    let picture = plot.draw(&summary.join("; "), &marks);
    (picture, groups.into_iter().map(|(name, _)| name).collect())
}

fn tell(name: &str, points: &[(u32, u32)]) -> String {
    let told: Vec<String> = points
        .iter()
        .map(|(asked, served)| format!("{served} of {asked}"))
        .collect();
    format!("{name} served {}", told.join(", "))
}

/// Names and points of the lines, in the order in which their shapes first appear.
fn together(lines: &[OfferedLine]) -> Vec<(String, &[(u32, u32)])> {
    let mut groups: Vec<(String, &[(u32, u32)])> = Vec::new();
    for line in lines {
        match groups.iter_mut().find(|(_, points)| *points == line.points) {
            Some((names, _)) => {
                names.push_str(", ");
                names.push_str(&line.name);
            }
            None => groups.push((line.name.clone(), &line.points)),
        }
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(name: &str, points: &[(u32, u32)]) -> OfferedLine {
        OfferedLine {
            name: name.into(),
            points: points.to_vec(),
        }
    }

    #[test]
    fn lines_on_top_of_each_other_are_one_line_with_all_names() {
        let lines = [
            line("a", &[(1, 1), (50, 4)]),
            line("b", &[(1, 1), (50, 50)]),
            line("c", &[(1, 1), (50, 4)]),
        ];
        let groups = together(&lines);
        assert_eq!(groups[0].0, "a, c");
        assert_eq!((groups.len(), groups[1].0.as_str()), (2, "b"));
    }
}

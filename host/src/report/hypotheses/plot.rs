//! Plots as SVG: ink in the colour of the text around them, series in colours that differ on white and on black,
//! and by their markers too.

use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::axis::Axis;
use crate::experiment::Plot;
use crate::text::{plain, shorten};

/// Width and height of the plot itself, and height of a line of the legend. Twice what is shown, because places are
/// whole numbers.
const WIDTH: u32 = 1280;
const HEIGHT: u32 = 760;
const LINE: u32 = 44;

/// Series named in the legend.
const NAMED: usize = 24;
/// Columns of the legend, and characters of a name in it.
const COLUMNS: usize = 3;
const NAME: usize = 30;
/// More labelled points than this would cover each other.
const LABELLED: usize = 20;

/// Each has a contrast of 3 or more against white and against the dark page.
const COLORS: [RGBColor; 7] = [
    RGBColor(0x3b, 0x82, 0xf6),
    RGBColor(0xd9, 0x77, 0x06),
    RGBColor(0x16, 0xa3, 0x4a),
    RGBColor(0xdb, 0x27, 0x77),
    RGBColor(0xa8, 0x55, 0xf7),
    RGBColor(0x0d, 0x94, 0x88),
    RGBColor(0xdc, 0x26, 0x26),
];

/// Marks the colour of the text, which the backend cannot name.
const INK: RGBColor = RGBColor(1, 2, 3);
const INK_WRITTEN: &str = "#010203";

/// How a plot is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PlotUse {
    /// In a page, from which it takes its colour.
    Inline,
    /// A file of its own, which follows the reader's preference.
    File,
}

/// The plot as SVG. `title` is its text for screen readers.
pub fn svg(plot: &Plot, title: &str, place: PlotUse) -> String {
    let shown = plot.series.len().min(NAMED);
    let lines = shown.div_ceil(COLUMNS) + usize::from(plot.series.len() > NAMED);
    let height = HEIGHT + LINE * lines as u32 + LINE / 2;
    let mut drawing = String::new();
    {
        let root = SVGBackend::with_string(&mut drawing, (WIDTH, height)).into_drawing_area();
        let (above, below) = root.split_vertically(HEIGHT);
        // A text that is written to memory: neither can fail, and a plot is never worth a panic.
        let _ = chart(plot, &above);
        let _ = legend(plot, &below);
        let _ = root.present();
    }
    framed(&drawing, title, height, place)
}

type Drawn = Result<(), Box<dyn std::error::Error>>;

fn chart(plot: &Plot, area: &DrawingArea<SVGBackend<'_>, Shift>) -> Drawn {
    let points = || plot.series.iter().flat_map(|series| &series.points);
    let x = Axis::around(points().map(|point| point.0), plot.x_logarithmic);
    let y = Axis::around(points().map(|point| point.1), plot.y_logarithmic);
    let (x_label, y_label) = (x.clone(), y.clone());
    let mut chart = ChartBuilder::on(area)
        .margin(20)
        .margin_right(40)
        .x_label_area_size(100)
        .y_label_area_size(130)
        .build_cartesian_2d(x, y)?;
    chart
        .configure_mesh()
        .axis_style(INK.stroke_width(2))
        .bold_line_style(INK.mix(0.18))
        .light_line_style(TRANSPARENT)
        .x_labels(9)
        .y_labels(9)
        .label_style(font(26))
        .axis_desc_style(font(28))
        .x_label_formatter(&|value| x_label.label(*value))
        .y_label_formatter(&|value| y_label.label(*value))
        .x_desc(plot.x.as_str())
        .y_desc(plot.y.as_str())
        .draw()?;
    let area = chart.plotting_area();
    for (number, series) in plot.series.iter().enumerate() {
        if series.joined && series.points.len() > 1 {
            let line: Vec<(i32, i32)> =
                series.points.iter().map(|point| area.map_coordinate(&(point.0, point.1))).collect();
            let pixels = area.strip_coord_spec();
            let (left, top) = pixels.get_base_pixel();
            let moved: Vec<(i32, i32)> = line.into_iter().map(|(x, y)| (x - left, y - top)).collect();
            pixels.draw(&PathElement::new(moved, color(number).mix(0.7).stroke_width(3)))?;
        }
    }
    let pixels = area.strip_coord_spec();
    let (left, top) = pixels.get_base_pixel();
    for (number, series) in plot.series.iter().enumerate() {
        for point in &series.points {
            let (x, y) = area.map_coordinate(&(point.0, point.1));
            marker(&pixels, (x - left, y - top), number)?;
        }
    }
    labels(plot, |point| area.map_coordinate(&point), &pixels)
}

/// Writes the points' labels, those that would cover an earlier one or another point left out.
fn labels(plot: &Plot, place: impl Fn((f64, f64)) -> (i32, i32), pixels: &DrawingArea<SVGBackend<'_>, Shift>) -> Drawn {
    let labelled = plot.series.iter().flat_map(|series| &series.points).filter(|point| point.2.is_some());
    if labelled.clone().count() > LABELLED {
        return Ok(());
    }
    let (left, top) = pixels.get_base_pixel();
    let (width, _) = pixels.dim_in_pixel();
    let relative = |point: &(f64, f64, Option<String>)| {
        let (x, y) = place((point.0, point.1));
        (x - left, y - top)
    };
    let points: Vec<(i32, i32)> = plot.series.iter().flat_map(|series| &series.points).map(relative).collect();
    let mut taken: Vec<(i32, i32, i32)> = Vec::new();
    for point in labelled {
        let Some(name) = &point.2 else { continue };
        let text = shorten(&plain(name), 24);
        let (x, y) = relative(point);
        let length = 13 * i32::try_from(text.chars().count()).unwrap_or(24);
        // To the left of the point where there is no room to the right.
        let is_left = x + 18 + length > width as i32;
        let start = if is_left { x - 18 - length } else { x + 18 };
        let covers = |other: &(i32, i32, i32)| (other.2 - y).abs() < 26 && start < other.1 && other.0 < start + length;
        let hides = |other: &(i32, i32)| (other.1 - y).abs() < 18 && (start - 6..start + length + 6).contains(&other.0);
        if taken.iter().any(covers) || points.iter().any(hides) {
            continue;
        }
        taken.push((start, start + length, y));
        let (anchor, from) = if is_left { (HPos::Right, x - 18) } else { (HPos::Left, x + 18) };
        pixels.draw(&Text::new(text, (from, y), font(24).pos(Pos::new(anchor, VPos::Center))))?;
    }
    Ok(())
}

fn legend(plot: &Plot, area: &DrawingArea<SVGBackend<'_>, Shift>) -> Drawn {
    let column = WIDTH as usize / COLUMNS;
    let place = |number: usize| {
        (40 + (number % COLUMNS * column) as i32, (number / COLUMNS) as i32 * LINE as i32 + LINE as i32 / 2)
    };
    let write = |text: String, (x, y): (i32, i32)| {
        area.draw(&Text::new(text, (x, y), font(26).pos(Pos::new(HPos::Left, VPos::Center))))
    };
    for (number, series) in plot.series.iter().take(NAMED).enumerate() {
        let (x, y) = place(number);
        marker(area, (x, y), number)?;
        write(shorten(&plain(&series.name), NAME), (x + 24, y))?;
    }
    if let Some(more) = plot.series.len().checked_sub(NAMED).filter(|more| *more > 0) {
        write(format!("and {more} more"), place(NAMED.next_multiple_of(COLUMNS)))?;
    }
    Ok(())
}

/// Series have colours by turns, and another marker after each turn.
fn marker(area: &DrawingArea<SVGBackend<'_>, Shift>, at: (i32, i32), number: usize) -> Drawn {
    let color = color(number);
    match number / COLORS.len() % 4 {
        0 => area.draw(&Circle::new(at, 8, color.mix(0.85).filled()))?,
        1 => area.draw(&TriangleMarker::new(at, 11, color.mix(0.85).filled()))?,
        2 => area.draw(&Cross::new(at, 8, color.stroke_width(4)))?,
        _ => area.draw(&Circle::new(at, 8, color.stroke_width(4)))?,
    }
    Ok(())
}

fn color(number: usize) -> RGBColor {
    COLORS[number % COLORS.len()]
}

fn font(size: u32) -> TextStyle<'static> {
    ("sans-serif", size).into_font().color(&INK)
}

/// The drawing under a root of our own: it scales, has a name for those who do not see it, and takes its ink from the
/// text around it.
fn framed(drawing: &str, title: &str, height: u32, place: PlotUse) -> String {
    let body = drawing.split_once('>').map_or("", |(_, body)| body).replace(INK_WRITTEN, "currentColor");
    let style = match place {
        PlotUse::Inline => "",
        PlotUse::File => {
            "<style>svg{color:#1f2328;background:#fff}@media(prefers-color-scheme:dark){svg{color:#e6e9ee;\
             background:#14171c}}</style>\n"
        }
    };
    format!(
        "<svg viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" xmlns=\"http://www.w3.org/2000/svg\">\n<title>{}</title>\n{style}{}",
        crate::report::table::html(title),
        body.trim_start()
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::Series;

    fn series(name: &str, joined: bool, points: &[(f64, f64)]) -> Series {
        let points = points.iter().map(|point| (point.0, point.1, Some(format!("<{name}>")))).collect();
        Series { name: name.into(), joined, points }
    }

    fn plot(series: Vec<Series>) -> Plot {
        Plot { x: "layer".into(), x_logarithmic: false, y: "kurtosis".into(), y_logarithmic: true, series }
    }

    #[test]
    fn names_are_escaped_and_ink_is_the_texts() {
        let plot = plot(vec![series("</text><script>alert(1)</script>", true, &[(0.0, 3.0), (4.0, 500.0)])]);
        let drawn = svg(&plot, "a <b> & c", PlotUse::Inline);
        assert!(!drawn.contains("<script"), "{drawn}");
        assert!(drawn.contains("<title>a &lt;b&gt; &amp; c</title>"));
        assert!(drawn.contains("currentColor") && !drawn.contains(INK_WRITTEN) && !drawn.contains("#000000"));
        assert!(drawn.trim_end().ends_with("</svg>") && drawn.matches("<svg").count() == 1);
        assert!(!drawn.contains("<style>") && svg(&plot, "", PlotUse::File).contains("prefers-color-scheme:dark"));
    }

    #[test]
    fn a_point_higher_up_is_drawn_higher_up() {
        let drawn = svg(&plot(vec![series("a", false, &[(0.0, 3.0), (4.0, 500.0)])]), "", PlotUse::Inline);
        let circles: Vec<Vec<f64>> = drawn
            .lines()
            .filter(|line| line.starts_with("<circle"))
            .map(|line| {
                let value = |key: &str| line.split(&format!("{key}=\"")).nth(1)?.split('"').next()?.parse().ok();
                [value("cx"), value("cy")].into_iter().flatten().collect()
            })
            .collect();
        assert_eq!(circles.len(), 3, "two points and the legend");
        assert!(circles[0][0] < circles[1][0] && circles[0][1] > circles[1][1], "{circles:?}");
    }

    #[test]
    fn many_series_are_counted_in_the_legend() {
        let many = (0..40).map(|number| series(&format!("model {number}"), false, &[(1.0, 3.0)])).collect();
        let drawn = svg(&plot(many), "", PlotUse::Inline);
        assert!(drawn.contains("model 23") && !drawn.contains("model 24") && drawn.contains("and 16 more"));
    }
}

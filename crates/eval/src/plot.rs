//! How do the figures look? Small SVG pictures: no script, no outside resource, the same bytes every time.

const WIDTH: f64 = 420.0;
const HEIGHT: f64 = 300.0;
/// Space for labels: left, top, right, bottom.
const MARGIN: [f64; 4] = [48.0, 14.0, 12.0, 40.0];
/// Okabe and Ito's colours, told apart by colour-blind readers too.
const COLOURS: [&str; 5] = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#7f7f7f"];

/// A picture with its axes.
pub(crate) struct Chart {
    title: String,
    x: Axis,
    y: Axis,
    body: String,
    legend: Vec<(usize, String)>,
}

/// What lies along one side.
pub(crate) struct Axis {
    pub(crate) label: &'static str,
    pub(crate) from: f64,
    pub(crate) to: f64,
}

impl Axis {
    pub(crate) fn share(label: &'static str) -> Self {
        Self { label, from: 0.0, to: 1.0 }
    }

    /// From nought to the next round number above `most`.
    pub(crate) fn up_to(label: &'static str, most: f64) -> Self {
        let most = if most.is_finite() && most > 0.0 { most } else { 1.0 };
        let power = 10f64.powf(most.log10().floor());
        let to = [1.0, 2.0, 5.0, 10.0].into_iter().map(|step| step * power).find(|to| *to >= most);
        Self { label, from: 0.0, to: to.unwrap_or(most) }
    }

    fn at(&self, value: f64) -> f64 {
        ((value - self.from) / (self.to - self.from)).clamp(0.0, 1.0)
    }
}

impl Chart {
    pub(crate) fn new(title: &str, x: Axis, y: Axis) -> Self {
        Self { title: title.to_owned(), x, y, body: String::new(), legend: Vec::new() }
    }

    fn x(&self, value: f64) -> f64 {
        MARGIN[0] + self.x.at(value) * (WIDTH - MARGIN[0] - MARGIN[2])
    }

    fn y(&self, value: f64) -> f64 {
        HEIGHT - MARGIN[3] - self.y.at(value) * (HEIGHT - MARGIN[1] - MARGIN[3])
    }

    /// A line through `points`.
    pub(crate) fn line(&mut self, name: &str, points: &[(f64, f64)]) {
        let colour = self.colour(name);
        let mut path = String::new();
        for (x, y) in points {
            write_to(&mut path, format_args!("{:.1},{:.1} ", self.x(*x), self.y(*y)));
        }
        write_to(
            &mut self.body,
            format_args!(
                "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>\n",
                path.trim_end()
            ),
        );
    }

    /// Dots, each with its radius in pixels.
    pub(crate) fn dots(&mut self, name: &str, dots: &[(f64, f64, f64)]) {
        let colour = self.colour(name);
        for (x, y, radius) in dots {
            let (x, y) = (self.x(*x), self.y(*y));
            write_to(
                &mut self.body,
                format_args!(
                    "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"{radius:.1}\" fill=\"{colour}\" fill-opacity=\"0.7\"/>\n"
                ),
            );
        }
    }

    /// What no difference would look like.
    pub(crate) fn reference(&mut self, from: (f64, f64), to: (f64, f64)) {
        let (x1, y1, x2, y2) = (self.x(from.0), self.y(from.1), self.x(to.0), self.y(to.1));
        write_to(
            &mut self.body,
            format_args!(
                "<line x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\" stroke=\"#aaa\" \
                 stroke-dasharray=\"4 4\"/>\n"
            ),
        );
    }

    /// Bars over bins of equal width, `series` side by side in each.
    pub(crate) fn bars(&mut self, series: &[(&str, Vec<f64>)]) {
        let bins = series.iter().map(|(_, heights)| heights.len()).max().unwrap_or_default().max(1);
        let step = (self.x.to - self.x.from) / bins as f64;
        let each = step * 0.9 / series.len().max(1) as f64;
        for (number, (name, heights)) in series.iter().enumerate() {
            let colour = self.colour(name);
            for (bin, height) in heights.iter().enumerate().filter(|(_, height)| **height > 0.0) {
                let left = self.x.from + step * (bin as f64 + 0.05) + each * number as f64;
                let (x, y, width) = (self.x(left), self.y(*height), self.x(left + each) - self.x(left));
                let bottom = self.y(self.y.from) - y;
                write_to(
                    &mut self.body,
                    format_args!(
                        "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{bottom:.1}\" \
                         fill=\"{colour}\"/>\n"
                    ),
                );
            }
        }
    }

    fn colour(&mut self, name: &str) -> &'static str {
        let index = self.legend.len();
        self.legend.push((index, name.to_owned()));
        COLOURS[index % COLOURS.len()]
    }

    /// The picture as an SVG document.
    pub(crate) fn svg(&self) -> String {
        let mut svg = open(WIDTH, HEIGHT, &self.title);
        let (left, right) = (self.x(self.x.from), self.x(self.x.to));
        let (bottom, top) = (self.y(self.y.from), self.y(self.y.to));
        for step in 0..=5 {
            let share = f64::from(step) / 5.0;
            let (x, y) = (left + share * (right - left), bottom + share * (top - bottom));
            let number = |axis: &Axis| tick(axis.from + share * (axis.to - axis.from));
            write_to(
                &mut svg,
                format_args!(
                    "<line x1=\"{left:.1}\" y1=\"{y:.1}\" x2=\"{right:.1}\" y2=\"{y:.1}\" stroke=\"#eee\"/>\n\
                     <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>\n\
                     <text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>\n",
                    left - 6.0,
                    y + 4.0,
                    number(&self.y),
                    bottom + 14.0,
                    number(&self.x)
                ),
            );
        }
        write_to(
            &mut svg,
            format_args!(
                "<path d=\"M{left:.1} {top:.1}V{bottom:.1}H{right:.1}\" fill=\"none\" stroke=\"#333\"/>\n{}\
                 <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>\n\
                 <text transform=\"translate(12 {:.1}) rotate(-90)\" text-anchor=\"middle\">{}</text>\n",
                self.body,
                (left + right) / 2.0,
                HEIGHT - 8.0,
                escape(self.x.label),
                (top + bottom) / 2.0,
                escape(self.y.label)
            ),
        );
        for (row, (index, name)) in self.legend.iter().enumerate().filter(|(_, (_, name))| !name.is_empty()) {
            let y = top + 10.0 + 15.0 * row as f64;
            write_to(
                &mut svg,
                format_args!(
                    "<rect x=\"{:.1}\" y=\"{:.1}\" width=\"9\" height=\"9\" fill=\"{}\"/>\
                     <text x=\"{:.1}\" y=\"{y:.1}\" text-anchor=\"end\">{}</text>\n",
                    right - 12.0,
                    y - 8.0,
                    COLOURS[index % COLOURS.len()],
                    right - 17.0,
                    escape(name)
                ),
            );
        }
        svg.push_str("</svg>\n");
        svg
    }
}

/// Named values with their intervals, one below the other, between `from` and `to`.
pub(crate) fn intervals(title: &str, from: f64, to: f64, rows: &[(String, f64, Option<[f64; 2]>)]) -> String {
    let (left, width, height) = (170.0, 520.0, 34.0 + 22.0 * rows.len() as f64);
    let x = |value: f64| left + ((value - from) / (to - from)).clamp(0.0, 1.0) * (width - left - 60.0);
    let mut svg = open(width, height, title);
    for step in 0..=5 {
        let value = from + (to - from) * f64::from(step) / 5.0;
        write_to(
            &mut svg,
            format_args!(
                "<line x1=\"{0:.1}\" y1=\"6\" x2=\"{0:.1}\" y2=\"{1:.1}\" stroke=\"#eee\"/>\n\
                 <text x=\"{0:.1}\" y=\"{2:.1}\" text-anchor=\"middle\">{3}</text>\n",
                x(value),
                height - 22.0,
                height - 8.0,
                tick(value)
            ),
        );
    }
    for (row, (name, value, interval)) in rows.iter().enumerate() {
        let y = 18.0 + 22.0 * row as f64;
        if let Some([low, high]) = interval {
            write_to(
                &mut svg,
                format_args!(
                    "<line x1=\"{:.1}\" y1=\"{y:.1}\" x2=\"{:.1}\" y2=\"{y:.1}\" stroke=\"#333\"/>\n",
                    x(*low),
                    x(*high)
                ),
            );
        }
        write_to(
            &mut svg,
            format_args!(
                "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>\n\
                 <circle cx=\"{:.1}\" cy=\"{y:.1}\" r=\"4\" fill=\"{}\"/>\n\
                 <text x=\"{:.1}\" y=\"{:.1}\">{value:.3}</text>\n",
                left - 8.0,
                y + 4.0,
                escape(name),
                x(*value),
                COLOURS[0],
                width - 50.0,
                y + 4.0
            ),
        );
    }
    svg.push_str("</svg>\n");
    svg
}

/// `&`, `<`, `>` and quotes as HTML and XML write them; control characters left out.
pub(crate) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars().filter(|character| !character.is_control()) {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}

fn open(width: f64, height: f64, title: &str) -> String {
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" \
         height=\"{height}\" role=\"img\" font-family=\"sans-serif\" font-size=\"11\">\n<title>{}</title>\n\
         <rect width=\"{width}\" height=\"{height}\" fill=\"#fff\"/>\n",
        escape(title)
    )
}

fn tick(value: f64) -> String {
    let text = format!("{value:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn write_to(text: &mut String, arguments: std::fmt::Arguments<'_>) {
    text.push_str(&arguments.to_string());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_end_on_round_numbers() {
        let check = |most, expected| assert_eq!(Axis::up_to("", most).to, expected, "{most}");
        check(0.0, 1.0);
        check(1.0, 1.0);
        check(37.0, 50.0);
        check(110.0, 200.0);
        check(f64::NAN, 1.0);
    }

    #[test]
    fn points_land_where_the_axes_say() {
        let mut chart = Chart::new("a < b", Axis::share("x"), Axis::share("y & z"));
        chart.line("ours", &[(0.0, 0.0), (1.0, 1.0)]);
        chart.bars(&[("bars", vec![0.5])]);
        let svg = chart.svg();
        assert!(svg.contains("points=\"48.0,260.0 408.0,14.0\""), "{svg}");
        assert!(svg.contains("<title>a &lt; b</title>") && svg.contains("y &amp; z"));
        assert_eq!(svg.matches("<rect").count(), 1 + 1 + 2, "background, bar, legend");
        assert!(!svg.contains("NaN") && !svg.contains("<script") && !svg.contains("href"));
    }

    #[test]
    fn values_outside_stay_inside() {
        let svg = intervals("t", 0.5, 1.0, &[("low".to_owned(), 0.1, Some([0.0, 2.0]))]);
        assert!(svg.contains("cx=\"170.0\"") && svg.contains("x2=\"460.0\""), "{svg}");
    }
}

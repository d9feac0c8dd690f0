//! Data that break numerically unstable arithmetic, drawn from fixed seeds.

use kurtoscope_shared::Random;

/// A name and how the element at a position of `count` is drawn.
pub type Distribution = (&'static str, fn(&mut Random, position: usize, count: usize) -> f64);

pub const ALL: [Distribution; 19] = [
    ("uniform", |random, _, _| random.unit() * 2.0 - 1.0),
    ("normal", |random, _, _| random.normal()),
    ("weights of 0.02", |random, _, _| random.normal() * 0.02),
    ("planted 100 sigma", |random, position, count| if position == count / 3 { 100.0 } else { random.normal() }),
    ("ten planted", |random, position, count| if position % (count / 10 + 1) == 7 { -30.0 } else { random.normal() }),
    ("Student t, 3 degrees", |random, _, _| random.student_t(3)),
    ("offset of 1000 sigma", |random, _, _| 1000.0 + random.normal()),
    ("offset of -1000 sigma, small", |random, _, _| -0.02 + 2e-5 * random.normal()),
    ("subnormal", |random, _, _| random.normal() * 1e-40),
    ("normal and subnormal", |random, _, _| random.normal() * 2e-38),
    ("around 1e-20", |random, _, _| random.normal() * 1e-20),
    ("around 1e20", |random, _, _| random.normal() * 1e20),
    ("one 1e30 among normals", |random, position, count| if position == count / 2 { 1e30 } else { random.normal() }),
    ("up to the largest", |random, _, _| (random.unit() * 2.0 - 1.0) * 3.4e38),
    ("two values", |random, _, _| if random.below(8) == 0 { 1.0 } else { -0.25 }),
    ("a ramp", |_, position, count| position as f64 / count as f64),
    ("one column of 256 far away", |random, position, _| {
        random.normal() + if position % 256 == 0 { 500.0 } else { 0.0 }
    }),
    ("sparse", |random, _, _| if random.below(50) == 0 { random.normal() } else { 0.0 }),
    ("with NaN and infinities", |random, position, _| match position % 97 {
        3 => f64::NAN,
        5 => f64::INFINITY,
        8 => f64::NEG_INFINITY,
        _ => random.normal(),
    }),
];

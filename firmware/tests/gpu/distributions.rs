//! Data that break careless arithmetic, drawn from fixed seeds.

/// SplitMix64: Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// In (0, 1).
    pub fn uniform(&mut self) -> f64 {
        ((self.next() >> 11) as f64 + 0.5) / (1u64 << 53) as f64
    }

    /// Box and Muller's transform.
    pub fn normal(&mut self) -> f64 {
        (-2.0 * self.uniform().ln()).sqrt() * (std::f64::consts::TAU * self.uniform()).cos()
    }
}

/// A name and how the element at a position of `count` is drawn.
pub type Distribution = (&'static str, fn(&mut Random, position: usize, count: usize) -> f64);

pub const ALL: [Distribution; 19] = [
    ("uniform", |random, _, _| random.uniform() * 2.0 - 1.0),
    ("normal", |random, _, _| random.normal()),
    ("weights of 0.02", |random, _, _| random.normal() * 0.02),
    ("planted 100 sigma", |random, position, count| if position == count / 3 { 100.0 } else { random.normal() }),
    ("ten planted", |random, position, count| if position % (count / 10 + 1) == 7 { -30.0 } else { random.normal() }),
    ("Student t, 3 degrees", |random, _, _| {
        let chi = random.normal().powi(2) + random.normal().powi(2) + random.normal().powi(2);
        random.normal() / (chi / 3.0).sqrt()
    }),
    ("offset of 1000 sigma", |random, _, _| 1000.0 + random.normal()),
    ("offset of -1000 sigma, small", |random, _, _| -0.02 + 2e-5 * random.normal()),
    ("subnormal", |random, _, _| random.normal() * 1e-40),
    ("normal and subnormal", |random, _, _| random.normal() * 2e-38),
    ("around 1e-20", |random, _, _| random.normal() * 1e-20),
    ("around 1e20", |random, _, _| random.normal() * 1e20),
    ("one 1e30 among normals", |random, position, count| if position == count / 2 { 1e30 } else { random.normal() }),
    ("up to the largest", |random, _, _| (random.uniform() * 2.0 - 1.0) * 3.4e38),
    ("two values", |random, _, _| if random.next() % 8 == 0 { 1.0 } else { -0.25 }),
    ("a ramp", |_, position, count| position as f64 / count as f64),
    ("one column of 256 far away", |random, position, _| {
        random.normal() + if position % 256 == 0 { 500.0 } else { 0.0 }
    }),
    ("sparse", |random, _, _| if random.next() % 50 == 0 { random.normal() } else { 0.0 }),
    ("with NaN and infinities", |random, position, _| match position % 97 {
        3 => f64::NAN,
        5 => f64::INFINITY,
        8 => f64::NEG_INFINITY,
        _ => random.normal(),
    }),
];

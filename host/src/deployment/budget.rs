//! The best choice among options that cost bits: for each tensor one option, least noise in all, so many bits at most.
//!
//! The algorithm is the classical one for a sum of rate-distortion curves (Shoham and Gersho, *Efficient bit allocation for
//! an arbitrary set of quantizers*, IEEE Transactions on Acoustics, Speech and Signal Processing 36, 1988): every tensor
//! starts with its cheapest option, and the step along a tensor's lower convex hull that saves most noise for a bit is
//! taken until the next one does not fit. There the choice is optimal for the bits that it took. Bits that are left over
//! go to any step that still fits.
//!
//! The step that did not fit, taken in part, gives a lower bound for the noise of any choice within the budget: the
//! distance from it is stated with every result. What was chosen is never worse than the best by more than that step saves.

/// One way to store a tensor.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Choice {
    /// Bits of the whole tensor.
    pub bits: f64,
    /// Noise of the whole tensor, in the measure that is minimised.
    pub noise: f64,
}

/// One option for each tensor.
#[derive(Debug, Clone, PartialEq)]
pub struct Chosen {
    /// Which option, tensor by tensor.
    pub options: Vec<usize>,
    /// Bits of all tensors.
    pub bits: f64,
    /// Noise of all tensors.
    pub noise: f64,
    /// No choice within the budget has less noise than this.
    pub bound: f64,
}

/// A step up a tensor's hull.
struct Step {
    tensor: usize,
    from: usize,
    to: usize,
    bits: f64,
    saved: f64,
}

/// Chooses an option for each tensor within `budget` bits; `None` where even the cheapest options exceed it, or a tensor
/// has none.
pub fn allocate(options: &[Vec<Choice>], budget: f64) -> Option<Chosen> {
    let hulls: Vec<Vec<usize>> = options.iter().map(|options| hull(options)).collect();
    let mut at: Vec<usize> = hulls.iter().map(|hull| hull.first().copied()).collect::<Option<_>>()?;
    let total = |at: &[usize], of: fn(&Choice) -> f64| -> f64 {
        options.iter().zip(at).map(|(options, option)| of(&options[*option])).sum()
    };
    let mut bits = total(&at, |choice| choice.bits);
    // Sums of many bits are whole to within rounding.
    let budget = budget * (1.0 + 1e-12);
    if bits > budget {
        return None;
    }
    let mut steps = Vec::new();
    for (tensor, (options, hull)) in options.iter().zip(&hulls).enumerate() {
        for pair in hull.windows(2) {
            let (from, to) = (options[pair[0]], options[pair[1]]);
            let (bits, saved) = (to.bits - from.bits, from.noise - to.noise);
            steps.push(Step { tensor, from: pair[0], to: pair[1], bits, saved });
        }
    }
    // Stable, and slopes fall along a hull: a tensor's steps stay in order.
    steps.sort_by(|a, b| (b.saved / b.bits).total_cmp(&(a.saved / a.bits)));
    let mut bound = None;
    for step in steps {
        if bits + step.bits > budget {
            let noise = total(&at, |choice| choice.noise);
            bound = bound.or(Some(noise - step.saved * (budget - bits) / step.bits));
        } else if at[step.tensor] == step.from {
            bits += step.bits;
            at[step.tensor] = step.to;
        }
    }
    spend_the_rest(options, &mut at, budget);
    let noise = total(&at, |choice| choice.noise);
    Some(Chosen {
        bits: total(&at, |choice| choice.bits),
        noise,
        bound: bound.unwrap_or(noise).min(noise),
        options: at,
    })
}

/// Repeatedly takes the change that saves most noise and still fits.
fn spend_the_rest(options: &[Vec<Choice>], at: &mut [usize], budget: f64) {
    let mut bits: f64 = options.iter().zip(&*at).map(|(options, option)| options[*option].bits).sum();
    loop {
        let mut best: Option<(usize, usize, f64)> = None;
        for (tensor, (options, now)) in options.iter().zip(&*at).enumerate() {
            for (option, choice) in options.iter().enumerate() {
                let saved = options[*now].noise - choice.noise;
                let fits = bits + choice.bits - options[*now].bits <= budget;
                if fits && saved > best.map_or(0.0, |(_, _, saved)| saved) {
                    best = Some((tensor, option, saved));
                }
            }
        }
        let Some((tensor, option, _)) = best else { return };
        bits += options[tensor][option].bits - options[tensor][at[tensor]].bits;
        at[tensor] = option;
    }
}

/// The options on the lower convex hull, fewest bits first: each saves less noise for a bit than the one before.
fn hull(options: &[Choice]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..options.len()).collect();
    order.sort_by(|a, b| {
        let (a, b) = (options[*a], options[*b]);
        a.bits.total_cmp(&b.bits).then(a.noise.total_cmp(&b.noise))
    });
    let mut hull: Vec<usize> = Vec::new();
    for option in order {
        let new = options[option];
        // More bits for no less noise are no option.
        if hull.last().is_some_and(|last| new.noise >= options[*last].noise) {
            continue;
        }
        while let [.., before, last] = hull.as_slice() {
            let (before, last) = (options[*before], options[*last]);
            let slope = |from: Choice, to: Choice| (from.noise - to.noise) / (to.bits - from.bits);
            if slope(before, last) > slope(last, new) {
                break;
            }
            hull.pop();
        }
        hull.push(option);
    }
    hull
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn choice(bits: f64, noise: f64) -> Choice {
        Choice { bits, noise }
    }

    /// The least noise within the budget, by trying everything.
    fn least(options: &[Vec<Choice>], budget: f64) -> Option<f64> {
        let Some((first, others)) = options.split_first() else { return (budget >= 0.0).then_some(0.0) };
        let tried = first.iter().filter(|choice| choice.bits <= budget);
        tried.filter_map(|choice| Some(choice.noise + least(others, budget - choice.bits)?)).min_by(f64::total_cmp)
    }

    #[test]
    fn a_case_by_hand() {
        let options = [
            vec![choice(4.0, 10.0), choice(8.0, 1.0), choice(16.0, 0.0)],
            vec![choice(4.0, 100.0), choice(8.0, 40.0), choice(16.0, 0.0)],
        ];
        // The second tensor saves 15 a bit up to 8 bits and 5 a bit up to 16; the first 2.25 a bit.
        let rounded = |found: Chosen| (found.options, found.bits, found.noise, (found.bound * 1e6).round() / 1e6);
        let found = allocate(&options, 12.0).expect("fits");
        assert_eq!(rounded(found), (vec![0, 1], 12.0, 50.0, 50.0));
        let found = allocate(&options, 20.0).expect("fits");
        assert_eq!(rounded(found), (vec![0, 2], 20.0, 10.0, 10.0));
        // Four bits are left where eight are needed; the first tensor can use them.
        let found = allocate(&options, 16.0).expect("fits");
        assert_eq!(rounded(found), (vec![1, 1], 16.0, 41.0, 30.0));
        assert_eq!(allocate(&options, 7.9), None);
        assert_eq!(allocate(&[vec![]], 100.0), None);
    }

    #[test]
    fn the_hull_leaves_out_what_is_never_best() {
        let options = [
            choice(4.5, 3.0),
            choice(4.5, 2.0),
            choice(6.0, 1.9),
            choice(5.5, 1.0),
            choice(8.5, 1.5),
            choice(8.0, 0.1),
        ];
        assert_eq!(hull(&options), [1, 3, 5]);
    }

    fn tensors() -> impl Strategy<Value = Vec<Vec<Choice>>> {
        let option = (1u32..40, 0u32..1000).prop_map(|(bits, noise)| choice(f64::from(bits), f64::from(noise)));
        prop::collection::vec(prop::collection::vec(option, 1..5), 1..6)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn close_to_the_best_choice_and_honest_about_the_distance(options in tensors(), budget in 1u32..160) {
            let budget = f64::from(budget);
            match (allocate(&options, budget), least(&options, budget)) {
                (None, None) => {}
                (Some(found), Some(best)) => {
                    prop_assert!(found.bits <= budget);
                    let chosen = || options.iter().zip(&found.options).map(|(options, option)| options[*option]);
                    prop_assert_eq!(found.noise, chosen().map(|choice| choice.noise).sum::<f64>());
                    prop_assert_eq!(found.bits, chosen().map(|choice| choice.bits).sum::<f64>());
                    prop_assert!(found.bound <= best + 1e-9, "bound {} above the best {}", found.bound, best);
                    prop_assert!(best <= found.noise);
                    // Not worse than the best by more than one step saves.
                    let step = options
                        .iter()
                        .flat_map(|options| {
                            let hull = hull(options);
                            hull.windows(2).map(|pair| options[pair[0]].noise - options[pair[1]].noise).collect::<Vec<_>>()
                        })
                        .fold(0.0, f64::max);
                    prop_assert!(found.noise - best <= step + 1e-9, "{} against {best}, step {step}", found.noise);
                }
                (found, best) => prop_assert!(false, "{found:?} against {best:?}"),
            }
        }

        #[test]
        fn the_best_choice_where_the_budget_ends_with_a_step(options in tensors(), steps in 0usize..12) {
            // The bits after so many steps, by walking the hulls as a reader of the paper would.
            let mut places = vec![0; options.len()];
            let hulls: Vec<Vec<usize>> = options.iter().map(|options| hull(options)).collect();
            let mut slopes: Vec<f64> = (0..options.len())
                .flat_map(|tensor| hulls[tensor].windows(2).map(move |pair| (tensor, pair[0], pair[1])))
                .map(|(tensor, from, to)| (options[tensor][from], options[tensor][to]))
                .map(|(from, to)| (from.noise - to.noise) / (to.bits - from.bits))
                .collect();
            slopes.sort_by(f64::total_cmp);
            // Between steps that are worth the same, which fit together is another question.
            prop_assume!(slopes.windows(2).all(|pair| pair[0] < pair[1]));
            for _ in 0..steps {
                let best = (0..options.len())
                    .filter_map(|tensor| {
                        let (from, to) = (*hulls[tensor].get(places[tensor])?, *hulls[tensor].get(places[tensor] + 1)?);
                        let (from, to) = (options[tensor][from], options[tensor][to]);
                        Some((tensor, (from.noise - to.noise) / (to.bits - from.bits)))
                    })
                    .max_by(|a, b| a.1.total_cmp(&b.1));
                let Some((tensor, _)) = best else { break };
                places[tensor] += 1;
            }
            let budget = (0..options.len()).map(|tensor| options[tensor][hulls[tensor][places[tensor]]].bits).sum();
            let found = allocate(&options, budget).expect("fits");
            prop_assert!((found.noise - least(&options, budget).expect("fits")).abs() < 1e-9);
        }
    }
}

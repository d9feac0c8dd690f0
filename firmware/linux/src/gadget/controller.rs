//! Which USB device controller of the machine the gadget goes to.

use std::{
    string::{String, ToString},
    vec::Vec,
};

use usb_gadget::{Udc, udcs};

use super::{GadgetError, NAME};

/// A controller, as the choice sees it.
#[derive(Debug, Clone)]
struct Controller {
    name: String,
    /// The gadget that it serves.
    taken_by: Option<String>,
}

/// The controller of this name, or the only free one.
pub(super) fn find(wanted: Option<&str>) -> Result<Udc, GadgetError> {
    let mut all = udcs().map_err(GadgetError::Unsupported)?;
    let seen: Vec<Controller> = all
        .iter()
        .map(|udc| Controller {
            name: udc.name().to_string_lossy().into_owned(),
            taken_by: udc.function().ok().flatten().map(|name| name.to_string_lossy().into_owned()),
        })
        .collect();
    let index = choose(&seen, wanted)?;
    Ok(all.swap_remove(index))
}

fn choose(all: &[Controller], wanted: Option<&str>) -> Result<usize, GadgetError> {
    let names = || all.iter().map(|controller| controller.name.to_string()).collect::<Vec<_>>();
    let fits = |controller: &Controller| wanted.is_none_or(|name| controller.name == name);
    let fitting = || all.iter().enumerate().filter(|(_, controller)| fits(controller));
    let free: Vec<usize> =
        fitting().filter(|(_, controller)| controller.taken_by.is_none()).map(|(index, _)| index).collect();
    match (free.as_slice(), fitting().next(), wanted) {
        ([index], _, _) => Ok(*index),
        ([], Some((_, Controller { name, taken_by: Some(gadget) })), _) if gadget.starts_with(NAME) => {
            Err(GadgetError::InUse { controller: name.clone() })
        }
        ([], Some((_, Controller { name, taken_by: Some(gadget) })), _) => {
            Err(GadgetError::Taken { controller: name.clone(), gadget: gadget.clone() })
        }
        ([], _, Some(name)) if !all.is_empty() => {
            Err(GadgetError::UnknownController { name: name.into(), found: names() })
        }
        ([], _, _) => Err(GadgetError::NoController),
        _ => Err(GadgetError::SeveralControllers { found: names() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn controllers(all: &[(&str, &str)]) -> Vec<Controller> {
        let controller = |(name, gadget): &(&str, &str)| Controller {
            name: name.to_string(),
            taken_by: (!gadget.is_empty()).then(|| gadget.to_string()),
        };
        all.iter().map(controller).collect()
    }

    #[test]
    fn the_only_free_one_is_taken() {
        let all = controllers(&[("fe800000.usb", "g_ether"), ("fe980000.usb", "")]);
        assert_eq!(choose(&all, None).expect("free"), 1);
        assert_eq!(choose(&all, Some("fe980000.usb")).expect("free"), 1);
        assert!(
            matches!(choose(&all, Some("fe800000.usb")), Err(GadgetError::Taken { gadget, .. }) if gadget == "g_ether")
        );
        assert!(
            matches!(choose(&all, Some("usb")), Err(GadgetError::UnknownController { found, .. }) if found.len() == 2)
        );
    }

    #[test]
    fn nothing_is_guessed() {
        assert!(matches!(choose(&[], None), Err(GadgetError::NoController)));
        assert!(matches!(choose(&[], Some("fe980000.usb")), Err(GadgetError::NoController)));
        let two = controllers(&[("a", ""), ("b", "")]);
        assert!(matches!(choose(&two, None), Err(GadgetError::SeveralControllers { found }) if found == ["a", "b"]));
        assert_eq!(choose(&two, Some("b")).expect("named"), 1);
        let taken = controllers(&[("a", "g1")]);
        assert!(matches!(choose(&taken, None), Err(GadgetError::Taken { controller, .. }) if controller == "a"));
        let ours = controllers(&[("a", "kurtoscope-a")]);
        assert!(matches!(choose(&ours, None), Err(GadgetError::InUse { controller }) if controller == "a"));
    }
}

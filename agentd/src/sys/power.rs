//! Where this machine has its power from.

use std::path::Path;

/// Where the kernel tells of power supplies.
const SUPPLIES: &str = "/sys/class/power_supply";

/// Whether the machine is fed from outside: a supply is online, or there is no battery to drain.
pub fn is_on_mains() -> bool {
    on_mains(Path::new(SUPPLIES))
}

fn on_mains(supplies: &Path) -> bool {
    let mut drains = false;
    for supply in std::fs::read_dir(supplies).into_iter().flatten().flatten() {
        let says = |file: &str| std::fs::read_to_string(supply.path().join(file)).unwrap_or_default();
        match says("type").trim() {
            // That of a mouse feeds nobody else.
            "Battery" if says("scope").trim() != "Device" => drains = true,
            "Battery" => {}
            _ if says("online").trim() == "1" => return true,
            _ => {}
        }
    }
    !drains
}

#[cfg(test)]
mod tests {
    use super::super::scratch::Scratch;
    use super::*;

    #[test]
    fn a_machine_drains_its_battery_where_nothing_feeds_it() {
        let scratch = Scratch::new();
        let supply = |name: &str, files: &[(&str, &str)]| {
            std::fs::create_dir_all(scratch.join(name)).unwrap();
            for (file, text) in files {
                std::fs::write(scratch.join(name).join(file), format!("{text}\n")).unwrap();
            }
            on_mains(&scratch.join(""))
        };
        assert!(on_mains(&scratch.join("none")), "a machine without supplies");
        assert!(supply("mouse", &[("type", "Battery"), ("scope", "Device")]));
        assert!(!supply("BAT0", &[("type", "Battery")]));
        assert!(!supply("AC", &[("type", "Mains"), ("online", "0")]));
        assert!(supply("ucsi", &[("type", "USB"), ("online", "1")]));
        assert!(!supply("ucsi", &[("online", "0")]));
        assert!(supply("AC", &[("online", "1")]));
    }
}

use super::*;
use crate::testing::{evidence, stored};
use casemate_event::{Class, field};
use proptest::prelude::*;

fn launch() -> Stored {
    let fields = [
        (field::DEVICE_HOSTNAME, "ws5"),
        (field::ACTOR_USER, r"CORP\alice"),
        (field::ACTIVITY, "Launch"),
        (field::PROCESS_PATH, r"C:\Windows\System32\powershell.exe"),
        (field::PARENT_PROCESS_PATH, r"C:\Office\winword.exe"),
        (field::PROCESS_CMD_LINE, "powershell -nop -w hidden"),
    ];
    stored(1, 0, Class::ProcessActivity, &fields)
}

fn logon(status: &'static str) -> Stored {
    let fields = [
        (field::DEVICE_HOSTNAME, "dc1"),
        (field::USER, "bob"),
        (field::STATUS, status),
        (field::ACTIVITY, "Logon"),
        (field::SRC_IP, "10.0.0.7"),
        (field::SRC_HOSTNAME, "ws9"),
    ];
    stored(2, 60, Class::Authentication, &fields)
}

fn access() -> Stored {
    let fields = [
        (field::DEVICE_HOSTNAME, "ws5"),
        (field::ACTIVITY, "Open"),
        (field::ACTOR_PROCESS_PATH, r"C:\Users\Public\x.exe"),
        (field::PROCESS_PATH, r"C:\Windows\System32\lsass.exe"),
    ];
    stored(3, 90, Class::ProcessActivity, &fields)
}

fn connection() -> Stored {
    let fields = [
        (field::DEVICE_HOSTNAME, "ws5"),
        (field::ACTOR_PROCESS_PATH, r"C:\Windows\System32\rundll32.exe"),
        (field::SRC_IP, "10.0.0.5"),
        (field::DST_IP, "203.0.113.9"),
        (field::DST_PORT, "443"),
    ];
    stored(4, 120, Class::NetworkActivity, &fields)
}

fn file() -> Stored {
    let fields = [
        (field::DEVICE_HOSTNAME, "ws5"),
        (field::ACTIVITY, "Create"),
        (field::ACTOR_PROCESS_PATH, r"C:\Windows\explorer.exe"),
        (field::FILE_PATH, r"C:\Users\Public\x.dmp"),
    ];
    stored(5, 150, Class::FileSystemActivity, &fields)
}

fn holds(sentence: &str, of: &[&Stored], count: u64) -> bool {
    let items: Vec<Evidence> = of.iter().map(|stored| evidence(stored, count)).collect();
    let cited: Vec<Cited<'_>> =
        of.iter().zip(&items).map(|(stored, item)| Cited::of(&stored.event, item)).collect();
    let all = [launch(), logon("Success"), access(), connection(), file()];
    is_supported(sentence, &cited, &names(&all))
}

#[test]
fn a_sentence_is_held_to_who_did_what_to_whom() {
    let of = launch();
    let check = |sentence: &str, expected| assert_eq!(holds(sentence, &[&of], 1), expected, "{sentence}");
    check("The user alice on ws5 started powershell.exe from winword.exe.", true);
    check("Winword.exe started powershell.exe at 14:02:11Z.", true);
    check("On host ws5 the process powershell.exe was started by winword.exe.", true);
    check("The user alice ran powershell.exe with parent winword.exe on ws5.", true);
    check("Winword.exe started powershell.", true);
    check("Powershell.exe started winword.exe.", false);
    check("Winword.exe was started by powershell.exe.", false);
    check("The user bob on ws5 started powershell.exe.", false);
    check("The user alice on dc1 started powershell.exe.", false);
    check("The user powershell.exe started winword.exe.", false);
    check("The user alice started powershell.exe at 15:02:11Z.", false);
    check("The user alice did not start powershell.exe.", false);
    check("The user alice opened powershell.exe.", false);
    check("The user alice deleted powershell.exe.", false);
    check("The user alice logged on to ws5.", false);
    check("The process connected to 10.0.0.7.", false);
    check("The tool Mimikatz was started by alice.", false);
    check("This is a malicious process on ws5.", false);
    check("A process was started 12 times.", false);
    check("The process ws5 shell.exe was started.", false);
}

#[test]
fn logons_have_an_account_a_host_a_source_and_an_outcome() {
    let (good, bad) = (logon("Success"), logon("Failure"));
    let check = |sentence: &str, of: &Stored, count, expected| {
        assert_eq!(holds(sentence, &[of], count), expected, "{sentence}");
    };
    check("The user bob logged on to dc1 from 10.0.0.7.", &good, 1, true);
    check("The user bob logged on to host dc1 from ws9.", &good, 1, true);
    check("The user bob successfully logged on to dc1.", &good, 1, true);
    check("The user bob logged on to 10.0.0.7 from dc1.", &good, 1, false);
    check("The user bob logged on to ws9.", &good, 1, false);
    check("The user bob failed to log on to dc1.", &good, 1, false);
    check("The user bob logged on to dc1.", &bad, 1, false);
    check("The logon of user bob to dc1 failed 12 times.", &bad, 12, true);
    check("The logon of user bob to dc1 failed 12 times.", &bad, 3, false);
}

#[test]
fn directions_are_kept() {
    let check = |sentence: &str, of: &Stored, expected| {
        assert_eq!(holds(sentence, &[of], 1), expected, "{sentence}");
    };
    check("The process x.exe opened lsass.exe on ws5.", &access(), true);
    check("The process lsass.exe opened x.exe on ws5.", &access(), false);
    check("Lsass.exe was accessed by x.exe.", &access(), true);
    check("X.exe was accessed by lsass.exe.", &access(), false);
    check("Rundll32.exe connected to 203.0.113.9 from 10.0.0.5.", &connection(), true);
    check("Rundll32.exe connected from 203.0.113.9 to 10.0.0.5.", &connection(), false);
    check("Rundll32.exe connected to 10.0.0.5.", &connection(), false);
    check("The program explorer.exe created the file x.dmp.", &file(), true);
    check("The program x.dmp created the file explorer.exe.", &file(), false);
    check("The program explorer.exe deleted the file x.dmp.", &file(), false);
}

#[test]
fn each_clause_holds_of_one_event() {
    let (first, second) = (launch(), logon("Success"));
    let check = |sentence: &str, expected| {
        assert_eq!(holds(sentence, &[&first, &second], 1), expected, "{sentence}");
    };
    check("The user alice started powershell.exe on ws5, and the user bob logged on to dc1.", true);
    // Every name is cited, but not together.
    check("The user alice logged on to dc1.", false);
    check("The user bob started powershell.exe on ws5.", false);
    check("Winword.exe started powershell.exe and winword.exe.", false);
}

proptest! {
    /// Whatever two names of an event change places, the sentence no longer holds.
    #[test]
    fn swapped_parts_are_caught(which in 0..5_usize, wording in 0..2_usize) {
        let (event, wordings, a, b) = match which {
            0 => (launch(), ["{a} started {b}.", "{b} was started by {a}."], "Winword.exe", "powershell.exe"),
            1 => (access(), ["{a} opened {b} on ws5.", "{b} was accessed by {a}."], "X.exe", "lsass.exe"),
            2 => (connection(), ["A connection was made from {a} to {b}.", "Rundll32.exe connected from {a} to {b}."], "10.0.0.5", "203.0.113.9"),
            3 => (file(), ["{a} created {b}.", "{b} was created by {a}."], "Explorer.exe", "x.dmp"),
            _ => (logon("Success"), ["The user bob logged on to {b} from {a}.", "The account bob logged on to host {b} from {a}."], "10.0.0.7", "dc1"),
        };
        let say = |x: &str, y: &str| wordings[wording].replace("{a}", x).replace("{b}", y);
        prop_assert!(holds(&say(a, b), &[&event], 1), "{}", say(a, b));
        prop_assert!(!holds(&say(b, a), &[&event], 1), "{}", say(b, a));
    }

    /// A name of another event in the place of this one's is caught.
    #[test]
    fn foreign_names_are_caught(name in prop::sample::select(vec!["bob", "dc1", "ws9", "10.0.0.7", "lsass.exe", "x.exe", "x.dmp", "203.0.113.9", "explorer.exe", "rundll32.exe"]), place in 0..3_usize) {
        let sentence = match place {
            0 => format!("The user {name} started powershell.exe on ws5."),
            1 => format!("The user alice started {name} on ws5."),
            _ => format!("The user alice started powershell.exe on {name}."),
        };
        prop_assert!(!holds(&sentence, &[&launch()], 1), "{}", sentence);
    }

    #[test]
    fn no_sentence_panics(sentence in ".{0,200}") {
        let _ = holds(&sentence, &[&launch(), &connection()], 1);
    }
}

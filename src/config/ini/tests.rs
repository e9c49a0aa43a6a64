use super::*;

fn parse(text: &str) -> IniFile {
    IniFile::parse(Path::new("config.ini"), text)
}

/// The value in a file that has no errors.
#[track_caller]
fn value(text: &str, section: &str, key: &str) -> String {
    let file = parse(text);
    assert_eq!(file.errors, []);
    file.sections[section].options[key].text.clone()
}

#[track_caller]
fn error(text: &str) -> (usize, String) {
    let [error] = &parse(text).errors[..] else {
        panic!("not one error: {:?}", parse(text).errors);
    };
    (error.line, error.problem.clone())
}

#[test]
fn option_names_ignore_case_and_take_both_separators() {
    let text = "[Log]\nKeep_Log_Days : 7\nmain_log_path=C:/a=b\nmain_log_level:a=b\n";
    assert_eq!(value(text, "log", "keep_log_days"), "7");
    assert_eq!(value(text, "log", "main_log_path"), "C:/a=b");
    assert_eq!(value(text, "log", "main_log_level"), "a=b");
}

#[test]
fn a_section_that_occurs_twice_is_one_and_the_last_value_counts() {
    let text = "[Log] ; the first\na = 1\nb = 2\n[Other]\na = 9\n[Log]\nb = 3\nB = 4\n";
    assert_eq!(value(text, "log", "a"), "1");
    assert_eq!(value(text, "log", "b"), "4");
    assert_eq!(parse(text).sections["log"].name, "Log");
}

#[test]
fn a_section_is_found_whatever_its_case() {
    assert_eq!(
        value("[SERVERspecific]\na = 1\n", "serverspecific", "a"),
        "1"
    );
}

#[test]
fn comments_are_pushkins() {
    let text = "# a\n; b\nREM c\nrem d = 1\n[S]\nrem = d\nremote = 2\na = 1 ; one\nb = x;y # z\nc\t=\t3\t;\tthree\n";
    assert_eq!(value(text, "s", "a"), "1");
    assert_eq!(value(text, "s", "b"), "x;y # z");
    assert_eq!(value(text, "s", "c"), "3");
    assert_eq!(value(text, "s", "remote"), "2");
    assert!(!parse(text).sections["s"].options.contains_key("rem"));
}

#[test]
fn only_the_first_semicolon_can_begin_an_inline_comment() {
    assert_eq!(value("[S]\na = x;y ; z\n", "s", "a"), "x;y ; z");
    assert_eq!(value("[S]\na = x ; y ; z\n", "s", "a"), "x");
}

#[test]
fn indented_lines_continue_a_value_and_blank_ones_inside_are_dropped() {
    let text = "[Sender]\nenabled_senders =\n    a.B {\"workers\": 50}\n\n# c\n\tc.D {\"x\": \"y ; z\"}\n  k = v\n  [x]\n  # d\nafter = 1\n";
    assert_eq!(
        value(text, "sender", "enabled_senders"),
        "a.B {\"workers\": 50}\nc.D {\"x\": \"y ; z\"}\nk = v\n[x]\n# d"
    );
    assert_eq!(value(text, "sender", "after"), "1");
}

#[test]
fn an_empty_value_is_nothing_or_two_quotes_and_other_quotes_are_kept() {
    let text = "[S]\na =\nb = \"\"\nc = \"x\" 'y' c:\\new\\\nd = ''\n";
    assert_eq!(value(text, "s", "a"), "");
    assert_eq!(value(text, "s", "b"), "");
    assert_eq!(value(text, "s", "c"), "\"x\" 'y' c:\\new\\");
    assert_eq!(value(text, "s", "d"), "''");
}

#[test]
fn percent_needs_no_escaping_but_interpolation_is_refused() {
    assert_eq!(value("[L]\ns = %Y-%m-%d_%H\n", "l", "s"), "%Y-%m-%d_%H");
    assert_eq!(value("[L]\ns = a%%b\n", "l", "s"), "a%%b");
    for text in ["[L]\ns = %(x)s\n", "[L]\ns = y\n  %(x)s\n"] {
        let (line, problem) = error(text);
        assert_eq!(line, 2);
        assert!(
            problem.starts_with("[L] s: %(…) interpolation"),
            "{problem}"
        );
    }
}

#[test]
fn a_file_from_windows_is_read_like_any_other() {
    let text = "\u{feff}[S]\r\na = 1\r\nb =\r\n  x\r\n  y\r\n";
    assert_eq!(value(text, "s", "a"), "1");
    assert_eq!(value(text, "s", "b"), "x\ny");
}

#[test]
fn a_value_knows_the_line_of_its_name() {
    let text = "# one\n\n[S]\na = 1\n\nb =\n  2\n";
    let options = &parse(text).sections["s"].options;
    assert_eq!((options["a"].line, options["b"].line), (4, 6));
}

#[test]
fn every_line_that_cannot_be_read_is_named_at_once() {
    let text = "early = 1\n[S]\n  indented = 1\na = 1\nnonsense\n[]\n[unfinished\n= 1\nb = %(a)s\n";
    let lines: Vec<usize> = parse(text).errors.iter().map(|error| error.line).collect();
    assert_eq!(lines, [1, 3, 5, 6, 7, 8, 9]);
    assert_eq!(
        error("a = 1\n"),
        (
            1,
            "the option a stands before the first [Section]".to_owned()
        )
    );
}

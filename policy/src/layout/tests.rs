use proptest::prelude::*;

use super::*;

#[test]
fn a_file_is_laid_out_and_keeps_every_comment_and_value() {
    let text = "\n\n# what this is for\nversion:   1   \nrules:\n    # the first\n    read:   # one\n        from: [a,\n           b]   # two\n        allow:\n        - GET /x   # not: this\n        -   GET /y\n\n\n        to: 'it''s # no comment'\n    # a last word\ntests:\n- request: \"GET # no\"\n  from: a\n-   expect: deny\n    why: |\n       text\n         deeper # no comment\n\n       end\n# the end\n\n";
    let expected = "# what this is for\nversion:   1\nrules:\n  # the first\n  read:   # one\n    from: [a,\n       b]   # two\n    allow:\n      - GET /x   # not: this\n      - GET /y\n\n    to: 'it''s # no comment'\n  # a last word\ntests:\n  - request: \"GET # no\"\n    from: a\n  - expect: deny\n    why: |\n      text\n        deeper # no comment\n\n      end\n# the end\n";
    assert_eq!(layout(text).unwrap(), expected);
    assert_eq!(layout(expected).unwrap(), expected);
}

#[test]
fn what_cannot_be_laid_out_stays() {
    for (text, why) in
        [("a: |2\n    text\n", "how deep"), ("a: [1\n", "as one YAML document"), ("a: 1\n---\nb: 2\n", "as one YAML document")]
    {
        let told = layout(text).unwrap_err();
        assert!(told.contains(why), "{text:?}: {told}");
    }
}

#[test]
fn line_ends_of_other_systems_and_empty_files_are_laid_out() {
    assert_eq!(layout("a:\r\n    b: 1\r\n").unwrap(), "a:\n  b: 1\n");
    assert_eq!(layout("a: 1").unwrap(), "a: 1\n");
}

/// A document as somebody might write it: any depth, any indentation, comments and blank lines anywhere.
fn document() -> impl Strategy<Value = String> {
    let line = (0_usize..4, 1_usize..5, 0_usize..3, any::<bool>(), any::<bool>());
    proptest::collection::vec(line, 1..20).prop_map(|lines| {
        let mut text = String::new();
        let mut indents = vec![0_usize];
        for (at, (depth, step, blank, commented, list)) in lines.into_iter().enumerate() {
            indents.truncate(depth.min(indents.len() - 1) + 1);
            let indent = indents[indents.len() - 1];
            text.push_str(&"\n".repeat(blank));
            if commented {
                text.push_str(&format!("{}# comment {at}\n", " ".repeat(indent)));
            }
            let pad = " ".repeat(indent);
            if list {
                text.push_str(&format!("{pad}k{at}:\n{pad}- a{at} # item\n{pad}-  b: '#'\n{pad}   c: 2\n"));
            } else {
                text.push_str(&format!("{pad}k{at}: # opens\n"));
                indents.push(indent + step);
                text.push_str(&format!("{}v{at}: \"x # {at}\"\n", " ".repeat(indent + step)));
            }
        }
        text
    })
}

proptest! {
    #[test]
    fn a_layout_says_the_same_and_is_final(text in document()) {
        let once = layout(&text).unwrap_or_else(|why| panic!("{why}\n{text}"));
        prop_assert_eq!(value(&once), value(&text));
        prop_assert_eq!(scan::comments(&once), scan::comments(&text));
        prop_assert_eq!(layout(&once).unwrap(), once.clone());
        prop_assert!(once.lines().all(|line| line.trim_end() == line && (line.len() - line.trim_start().len()) % STEP == 0));
    }

    #[test]
    fn whatever_it_is_given_it_says_the_same_or_refuses(text in "[a-c:#\\-\\[\\]{}|>'\" \n,&*!?1]{0,60}") {
        if let Ok(out) = layout(&text) {
            prop_assert_eq!(value(&out), value(&text));
        }
    }
}

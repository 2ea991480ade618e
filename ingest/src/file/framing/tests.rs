use super::*;
use proptest::prelude::*;

/// Feeds `text` in pieces of `piece` bytes, as a reader does; returns framing, offset and bytes of each record.
fn frame(text: &[u8], piece: usize, max_record: usize) -> Vec<(Framing, usize, Vec<u8>)> {
    let mut buffer = text[..piece.min(text.len())].to_vec();
    let mut read = buffer.len();
    let mut framer = Framer::new(FileFormat::Json, Path::new("x"), &buffer, read == text.len(), max_record);
    let mut base = 0;
    let mut found = Vec::new();
    while !(buffer.is_empty() && read == text.len()) {
        match framer.step(&buffer, read == text.len()) {
            Step::Cut(cut) => {
                assert!(cut.length > 0, "each cut goes forward");
                for record in cut.records {
                    found.push((cut.framing, base + record.start, buffer[record].to_vec()));
                }
                buffer.drain(..cut.length);
                base += cut.length;
            }
            Step::More => {
                assert!(read < text.len(), "at the end there is always a cut");
                let next = (read + piece).min(text.len());
                buffer.extend_from_slice(&text[read..next]);
                read = next;
            }
        }
    }
    found
}

fn documents(text: &str, piece: usize) -> Vec<(usize, String)> {
    let found = frame(text.as_bytes(), piece, 1 << 20);
    assert!(found.iter().all(|(framing, ..)| *framing == Framing::Document), "{found:?}");
    found.into_iter().map(|(_, at, bytes)| (at, String::from_utf8(bytes).expect("UTF-8"))).collect()
}

#[test]
fn lines_are_cut_at_line_ends_and_the_last_needs_none() {
    let text = b"{\"a\":1}\n{\"a\":2}\r\n{\"a\":3}";
    let found = frame(text, 10, 1 << 20);
    let joined: Vec<u8> = found.iter().flat_map(|(_, _, bytes)| bytes.clone()).collect();
    assert_eq!(joined, text);
    assert!(found.iter().all(|(framing, ..)| *framing == Framing::Lines));
    assert_eq!(found.last().map(|(_, at, bytes)| (*at, bytes.len())), Some((17, 7)));
}

#[test]
fn arrays_wrappers_and_documents_give_their_records() {
    let pretty = "[\n  {\n    \"a\": \"]}\"\n  },\n  {\"b\": [1, 2]},\n  7\n]\n";
    let wrapper = "{ \"records\": [\n{\"a\":1}\n,\n{\"a\":2}\n], \"x\": {\"y\":\"}\"}, \"n\": 1 }\n{\n\"c\": 3}";
    for piece in [1, 3, 17, 1000] {
        let found = documents(pretty, piece);
        let texts: Vec<_> = found.iter().map(|(_, text)| text.as_str()).collect();
        assert_eq!(texts, ["{\n    \"a\": \"]}\"\n  }", "{\"b\": [1, 2]}", "7"], "pieces of {piece}");
        for (at, text) in &found {
            assert_eq!(&pretty[*at..at + text.len()], text);
        }
        let texts: Vec<_> = documents(wrapper, piece).into_iter().map(|(_, text)| text).collect();
        assert_eq!(texts, ["{\"a\":1}", "{\"a\":2}", "{\n\"c\": 3}"], "pieces of {piece}");
    }
}

#[test]
fn a_damaged_first_line_does_not_hide_that_the_file_has_lines() {
    assert!(is_lines(b"{\"a\":\n{\"a\":2}\n{\"a\":3}\n", true));
    assert!(is_lines(b"garbage\n{\"a\":2}\n", true));
    assert!(is_lines(b"{\"records\":[{}]}\n{\"records\":[{}]}\n", true));
    assert!(is_lines(b"{\"a\":1}", true));
    assert!(!is_lines(b"{\"a\":1}", false));
    assert!(!is_lines(b"[\n{\"a\":1},\n{\"a\":2}\n]", true));
    assert!(!is_lines(b"{\n  \"a\": {}\n}\n", true));
}

#[test]
fn what_is_no_json_becomes_a_record_to_refuse() {
    let found = documents("{\n\"a\":1}\nsome junk\n{\n\"b\":2}\n{\"c\"", 1000);
    let texts: Vec<_> = found.iter().map(|(_, text)| text.as_str()).collect();
    assert_eq!(texts, ["{\n\"a\":1}", "some junk", "{\n\"b\":2}", "{\"c\""]);
}

#[test]
fn a_record_over_the_limit_is_handed_on_in_pieces_and_the_next_is_read() {
    let long = format!("{{\"a\":\"{}\"}}", "x".repeat(100));
    let lines = format!("{{\"n\":1}}\n{long}\n{{\"n\":2}}\n");
    let found = frame(lines.as_bytes(), 10, 40);
    let joined: Vec<u8> = found.iter().flat_map(|(_, _, bytes)| bytes.clone()).collect();
    assert_eq!(joined, lines.as_bytes());
    let pieces: Vec<_> = found.iter().filter(|(framing, ..)| *framing == Framing::Oversized).collect();
    assert_eq!(pieces.iter().map(|(_, _, bytes)| bytes.len()).sum::<usize>(), long.len() + 1);
    assert_eq!(found.last().map(|(framing, ..)| *framing), Some(Framing::Lines));

    let array = format!("[{{\"n\":1}},{long},{{\"n\":2}}]");
    let found = frame(array.as_bytes(), 10, 40);
    let pieces: Vec<u8> =
        found.iter().filter(|(f, ..)| *f == Framing::Oversized).flat_map(|(_, _, bytes)| bytes.clone()).collect();
    assert_eq!(String::from_utf8(pieces).expect("UTF-8"), long);
    let rest: Vec<_> = found.iter().filter(|(f, ..)| *f == Framing::Document).map(|(_, _, b)| b.clone()).collect();
    assert_eq!(rest, [b"{\"n\":1}".to_vec(), b"{\"n\":2}".to_vec()]);
}

#[test]
fn csv_is_told_by_name_or_header_and_cut_outside_of_quotes() {
    assert!(is_csv(Path::new("x.csv"), b"a;b\n"));
    assert!(is_csv(Path::new("export"), b"Timestamp,\"TimeGenerated [UTC]\"\n1,2\n"));
    assert!(!is_csv(Path::new("x.csv"), b" {\"a\":1}"));
    assert!(!is_csv(Path::new("x.log"), b"<13>Jan 1, host\n"));
    let ends = |text: &str| row_ends(text.as_bytes()).collect::<Vec<_>>();
    assert_eq!(ends("a,b\nc,\"d\ne\nf"), [3]);
    assert_eq!(ends("5\" disk,b\n\"x\n\"\"y\"\"\",c\nd\n"), [9, 21, 23], "a quote amid a cell is text");
    assert_eq!(ends("\"\",\"a\"\"\n\"\r\n\"b\" \"\n"), [10, 16]);
    assert_eq!(first_row_end(b"\"a\nb\",c\nd"), Some(8));
}

#[test]
fn tiny_records_are_cut_into_many_batches() {
    let texts = [
        "{}\n".repeat(500_000),
        "1\n".repeat(500_000),
        format!("[\n{}]", "1,\n".repeat(500_000)),
        format!("a,b\n{}", ",\n".repeat(500_000)),
    ];
    for text in texts {
        let mut framer = Framer::new(FileFormat::Auto, Path::new("x"), text.as_bytes(), true, 1 << 20);
        let (mut at, mut records, mut cuts) = (0, 0, 0);
        while at < text.len() {
            let Step::Cut(cut) = framer.step(&text.as_bytes()[at..], true) else { panic!("stands still at {at}") };
            let most = (text.len() - at) / 64 + 1024;
            let lines =
                cut.records.iter().map(|range| memchr_iter(b'\n', &text.as_bytes()[at..][range.clone()]).count());
            let found = if cut.framing == Framing::Document { cut.records.len() } else { lines.sum() };
            assert!(found <= most, "{found} records in {} bytes", text.len() - at);
            (at, records, cuts) = (at + cut.length, records + found, cuts + 1);
        }
        assert!((500_000..=500_001).contains(&records) && cuts > 30, "{records} in {cuts} cuts");
    }
}

proptest! {
    #[test]
    fn every_byte_that_is_no_blank_or_comma_between_records_is_in_a_record(
        text in proptest::collection::vec(proptest::sample::select(b"{}[]\",:a1 \n\\".to_vec()), 1..60),
        piece in 1_usize..20,
        max_record in 8_usize..40,
    ) {
        let found = frame(&text, piece, max_record);
        let mut last = 0;
        for (_, at, bytes) in &found {
            prop_assert!(*at >= last, "records are in order and do not overlap");
            prop_assert_eq!(&text[*at..at + bytes.len()], bytes.as_slice());
            last = at + bytes.len();
        }
    }

    #[test]
    fn documents_are_found_however_they_are_cut(count in 1_usize..8, piece in 1_usize..30, wrapped: bool) {
        let records: Vec<_> = (0..count).map(|n| format!("{{\"n\": {n},\n\"s\": \"}}\\\"]\"}}")).collect();
        let array = format!("[\n{}\n]", records.join(",\n"));
        let text = if wrapped { format!("{{\"records\":{array}}}") } else { array };
        let found: Vec<_> = documents(&text, piece).into_iter().map(|(_, text)| text).collect();
        prop_assert_eq!(found, records);
    }
}

"""How people lay out their sounds: folders, splits, tables, names; and what is said of each."""

import unicodedata

import pytest
from making import make_sounds, zip_folder

from helpers.config import DataConfig
from helpers.data.archives import SourceError
from helpers.data.clips import prepare_clips
from helpers.data.labelling import HOLDOUT, find_labels
from helpers.data.sources import open_source


def found(folder, labels="auto") -> dict[str, tuple[str, str]]:
    """Class and split of each file."""
    return {one.path: (one.label, one.split) for one in find_labels(folder, labels).files}


def classes(folder, labels="auto") -> set[str]:
    return {label for label, _ in found(folder, labels).values()}


def table(folder, name: str, *lines: str, encoding="utf-8"):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes("\n".join(lines).encode(encoding))
    return folder


# --- folders ---


def test_siblings_never_vanish(tmp_path):
    make_sounds(tmp_path, "dog/rex/1.wav", "dog/fido/1.wav", "cat/1.wav")
    (tmp_path / "cat" / "1.wav").rename(tmp_path / "cat" / "1.m4a")
    labelling = find_labels(tmp_path)
    assert classes(tmp_path) == {"cat", "dog"} and labelling.can_stay
    assert "the classes are the 2 folders in" in labelling.words
    assert "To choose otherwise" not in labelling.words, "nothing is in doubt"


def test_one_class_alone_is_said(tmp_path):
    make_sounds(tmp_path, "dog/1.wav", "dog/deep/2.wav")
    assert "There is one class alone: for several, put each" in find_labels(tmp_path).words
    make_sounds(tmp_path / "loose", "a.wav", "b.wav", "other.wav")
    labelling = find_labels(tmp_path / "loose")
    assert labelling.how == "single" and classes(tmp_path / "loose") == {"loose"}
    assert "all 3 files" in labelling.words and "one class alone" in labelling.words


def test_a_loop_of_links_takes_no_class_away(tmp_path):
    make_sounds(tmp_path, "dog/1.wav", "rain/1.wav")
    (tmp_path / "dog" / "again").symlink_to(tmp_path)
    assert classes(tmp_path) == {"dog", "rain"}


def test_folders_of_the_system_are_no_classes(tmp_path):
    names = ["@eaDir/1.wav", "#recycle/1.wav", "$RECYCLE.BIN/1.wav", "dog/@eaDir/x/1.wav"]
    make_sounds(tmp_path, "dog/1.wav", "rain/1.wav", *names)
    assert set(found(tmp_path)) == {"dog/1.wav", "rain/1.wav"}


def test_names_that_only_look_different_are_one_class(tmp_path):
    nfc, nfd = (unicodedata.normalize(form, "café") for form in ("NFC", "NFD"))
    make_sounds(tmp_path, f"{nfc}/1.wav", f"{nfd}/2.wav", "dog/1.wav", "dog /2.wav")
    assert classes(tmp_path) == {nfc, "dog"}
    source = open_source(str(tmp_path), tmp_path.parent / "work")
    assert sorted(path.name for path in source.folder.iterdir()) == [nfc, "dog"]
    make_sounds(tmp_path, "Dog/3.wav")
    with pytest.warns(UserWarning, match="'Dog', 'dog' differ in capitals alone"):
        assert classes(tmp_path) == {nfc, "dog", "Dog"}


def test_a_file_with_another_suffix_is_known_by_its_content(tmp_path):
    make_sounds(tmp_path, "dog/1.wav", "dog/notes.wav", "rain/1.wav")
    (tmp_path / "dog" / "1.wav").rename(tmp_path / "dog" / "take.one")
    (tmp_path / "dog" / "notes.wav").rename(tmp_path / "dog" / "notes.txt")
    assert set(found(tmp_path)) == {"dog/take.one", "rain/1.wav"}


# --- splits ---


@pytest.mark.parametrize(
    ("folders", "test"),
    [
        (("train", "test"), "test"),
        (("Training", "Validation", "test"), "Validation"),
        (("fold1", "fold2", "fold10"), "fold10"),
    ],
)
def test_split_folders_become_the_split(tmp_path, folders, test):
    names = [f"{folder}/{label}/{folder}.wav" for folder in folders for label in ("dog", "rain")]
    make_sounds(tmp_path / "set", *names)
    labelling = find_labels(tmp_path)
    assert labelling.how == "splits" and "parts of one data set" in labelling.words
    assert found(tmp_path)[f"{test}/dog/{test}.wav"] == ("dog", "test")
    assert found(tmp_path)[f"{folders[0]}/rain/{folders[0]}.wav"] == ("rain", "train")
    assert classes(tmp_path, "folders") == set(folders)


def test_a_class_of_trains_is_no_split(tmp_path):
    make_sounds(tmp_path, "train/1.wav", "bus/1.wav")
    assert found(tmp_path) == {"train/1.wav": ("train", ""), "bus/1.wav": ("bus", "")}
    words = find_labels(tmp_path).words
    assert "'train' has the name of a split" in words and 'set labels to "folders", "spl' in words
    with pytest.raises(SourceError, match="no folders such as train and test around"):
        find_labels(tmp_path, "splits")


def test_a_split_is_held_out_in_the_clips(tmp_path, tiny_audio):
    names = [
        f"{split}/{label}/{n}.wav" for split in ("train", "test") for label in "ab" for n in "12"
    ]
    make_sounds(tmp_path / "set", *names)
    for n, path in enumerate(sorted((tmp_path / "set").rglob("*.wav"))):
        path.write_bytes(path.read_bytes()[: -2 * n - 2])  # no two alike
    for stage in (False, True):
        source = open_source(str(tmp_path / "set"), tmp_path / "work", stage=stage)
        assert (source.labels, source.holdout) == ("splits", HOLDOUT)
        data = DataConfig(labels=source.labels, holdout=source.holdout)
        clips = prepare_clips(source.folder, tiny_audio, data, tmp_path, tmp_path / "cache")
        assert clips.classes == ("a", "b")
        splits = {row.path: row.split for row in clips.audit}
        assert (
            splits["a/(test)/test/a/1.wav"] == "test"
            and splits["b/(train)/train/b/2.wav"] == "train"
        )
        assert len(clips.waveform(0)) == tiny_audio.clip_samples


def test_lists_of_test_files_are_followed(tmp_path):
    make_sounds(tmp_path, "bed/1.wav", "bed/2.wav", "cat/1.wav", "cat/2.wav")
    table(tmp_path, "testing_list.txt", "bed/2.wav", "none/9.wav")
    table(tmp_path, "validation_list.txt", "cat/1.wav")
    assert (
        found(tmp_path)["bed/2.wav"] == ("bed", "test") == ("bed", found(tmp_path)["cat/1.wav"][1])
    )
    assert found(tmp_path)["bed/1.wav"] == ("bed", "train")
    assert "2 files are held out, as its lists say" in find_labels(tmp_path).words


# --- tables ---


def test_the_table_of_esc50(tmp_path):
    make_sounds(tmp_path, "audio/1-100-A-0.wav", "audio/5-200-A-1.wav", "audio/9-300-A-1.wav")
    lines = ("1-100-A-0.wav,1,0,dog", "5-200-A-1.wav,5,1,rooster")
    table(tmp_path, "meta/esc50.csv", "filename,fold,target,category", *lines)
    labelling = find_labels(tmp_path)
    assert labelling.how == "table:meta/esc50.csv:category"
    assert found(tmp_path) == {
        "audio/1-100-A-0.wav": ("dog", "train"),
        "audio/5-200-A-1.wav": ("rooster", "test"),
    }
    assert "2 classes" in labelling.words and "its column 'fold' says" in labelling.words
    assert "1 files are not in it and are left out" in labelling.words


def test_folds_with_a_table_have_the_classes_of_the_table(tmp_path):
    make_sounds(tmp_path, "audio/fold1/100-3-0-0.wav", "audio/fold2/200-3-0-0.wav")
    header = "slice_file_name,fsID,fold,classID,class"
    lines = ("100-3-0-0.wav,100,1,3,dog_bark", "200-3-0-0.wav,200,2,1,car_horn")
    table(tmp_path, "metadata/UrbanSound8K.csv", header, *lines)
    assert classes(tmp_path) == {"dog_bark", "car_horn"}


def test_a_table_without_a_plain_column_is_asked_for_one(tmp_path):
    make_sounds(tmp_path, "clips/a.wav", "clips/b.wav")
    lines = ("path\tsentence\tgender\tage", "a.wav\tyes\tmale\t20", "b.wav\tno\tfemale\t30")
    table(tmp_path, "validated.tsv", *lines)
    with pytest.raises(SourceError, match="'sentence', 'gender', 'age'") as error:
        find_labels(tmp_path)
    assert 'labels = "table:validated.tsv:<column>"' in str(error.value)
    assert classes(tmp_path, "table:validated.tsv:gender") == {"male", "female"}
    with pytest.raises(SourceError, match="no column 'sex', but 'path', 'sentence'"):
        find_labels(tmp_path, "table:validated.tsv:sex")
    with pytest.raises(SourceError, match="holds no table 'other.tsv'"):
        find_labels(tmp_path, "table:other.tsv:sex")


@pytest.mark.parametrize(
    ("lines", "encoding"),
    [
        (("sep=;", "Datei;label;Notiz", "Tür.wav;dog;a,b", "001.wav;NA;c"), "cp1252"),
        (("file,label", "./d/Tür.wav, dog ", "001.WAV,NA"), "utf-8-sig"),
        (("file\tlabel", "C:\\x\\d\\Tür.wav\tdog", "001\tNA"), "utf-16"),
        (("Tür.wav|dog", "d/001.flac|NA", "gone.wav|dog"), "utf-8"),
    ],
)
def test_tables_as_spreadsheets_write_them(tmp_path, lines, encoding):
    make_sounds(tmp_path, f"d/{unicodedata.normalize('NFD', 'Tür')}.wav", "d/001.wav")
    table(tmp_path, "d/labels.csv", *lines, encoding=encoding)
    labelling = find_labels(tmp_path, "auto" if "label" in "".join(lines) else "table:labels.csv:2")
    assert sorted(one.label for one in labelling.files) == ["NA", "dog"]
    assert ("1 of its rows name no file or several, such as 'gone.wav'" in labelling.words) == (
        "gone.wav|dog" in lines
    )


def test_a_name_in_two_folders_needs_its_folder(tmp_path):
    make_sounds(tmp_path, "d/a/1.wav", "d/b/1.wav", "d/b/2.wav")
    table(tmp_path, "d/t.csv", "file,label", "a/1.wav,dog", "b/1.wav,rain", "2.wav,rain")
    expected = {"d/a/1.wav": ("dog", ""), "d/b/1.wav": ("rain", ""), "d/b/2.wav": ("rain", "")}
    assert found(tmp_path, "table:t.csv:label") == expected
    table(tmp_path, "d/t.csv", "file,label", "1.wav,dog", "2.wav,rain")
    labelling = find_labels(tmp_path, "table:t.csv:label")
    assert [one.path for one in labelling.files] == ["d/b/2.wav"]
    assert "1 of its rows name no file or several, such as '1.wav'" in labelling.words


# --- names ---


@pytest.mark.parametrize(
    ("names", "pattern", "expected"),
    [
        (
            [f"{d}_{s}_{n}" for d in "73" for s in ("ann", "bob") for n in range(3)],
            None,
            {"7", "3"},
        ),
        ([f"{d}-{n:02}" for d in ("kick", "snare") for n in range(4)], None, {"kick", "snare"}),
        ([f"{d}{n}" for d in ("kick", "hi hat ") for n in range(4)], None, {"kick", "hi hat"}),
        (["a1 dog", "a2 dog", "b1 rain"], "names:{take} {label}", {"dog", "rain"}),
    ],
)
def test_labels_in_the_names_of_files(tmp_path, names, pattern, expected):
    make_sounds(tmp_path, *[f"recordings/{name}.wav" for name in names])
    (tmp_path / "utils").mkdir()
    labelling = find_labels(tmp_path, pattern or "auto")
    assert {one.label for one in labelling.files} == expected
    assert labelling.how.startswith("names:") and "in the names of the files" in labelling.words
    assert {one.label for one in find_labels(tmp_path, labelling.how).files} == expected


def test_numbers_alone_are_no_plain_classes(tmp_path):
    make_sounds(tmp_path, *[f"{n % 2}-{n}-0.wav" for n in range(8)])
    assert find_labels(tmp_path).how == "single"
    assert classes(tmp_path, "names:{label}-{index}-0") == {"0", "1"}


def test_names_that_fit_no_pattern_are_counted_and_none_is_an_error(tmp_path):
    make_sounds(tmp_path, "dog_1.wav", "dog_2.wav", "odd.wav")
    assert "1 files do not fit it" in find_labels(tmp_path, "names:{label}_{index}").words
    with pytest.raises(SourceError, match="no file's name fits .*names are like 'dog_1.wav'"):
        find_labels(tmp_path, "names:{label}-{index}")
    for wrong in ("names:", "names:{index}", "tables", "table:x", "single:dog"):
        with pytest.raises(SourceError, match="cannot be understood. To choose otherwise"):
            find_labels(tmp_path, wrong)


def test_a_source_labelled_by_names_is_arranged_by_links_and_follows_changes(tmp_path):
    names = [f"{label}_{n}.wav" for label in ("dog", "rain") for n in range(3)]
    folder = make_sounds(tmp_path / "set", *names)
    source = open_source(str(folder), tmp_path / "work")
    assert sorted(path.name for path in source.folder.iterdir()) == ["dog", "rain"]
    assert (source.folder / "dog" / "dog_1.wav").samefile(folder / "dog_1.wav")
    (folder / "rain_0.wav").unlink()
    again = open_source(str(folder), tmp_path / "work", labels=source.labels)
    assert again.folder == source.folder
    assert not (source.folder / "rain" / "rain_0.wav").is_symlink()


def test_archives_in_an_archive_are_named(tmp_path):
    make_sounds(tmp_path / "in" / "dog", "1.wav")
    (tmp_path / "out").mkdir()
    zip_folder(tmp_path / "in", tmp_path / "out" / "dog.zip")
    with pytest.raises(SourceError, match="holds archives .'dog.zip'. and no audio: extract them"):
        open_source(str(zip_folder(tmp_path / "out", tmp_path / "outer.zip")), tmp_path / "work")


# --- what has misled it ---


def test_a_part_of_the_files_is_taken_where_labels_are_those_of_the_folders(tmp_path):
    make_sounds(tmp_path / "set", *[f"{a}/{n}.wav" for a in ("cat", "dog") for n in range(4)])
    table(tmp_path / "set", "good.csv", "file,label", "cat/0.wav,cat", "dog/1.wav,dog")
    assert "set labels to 'table:good.csv:label'" in find_labels(tmp_path / "set").words
    asked = {"labels": "table:good.csv:label"}
    source = open_source(str(tmp_path / "set"), tmp_path / "work", **asked)
    assert sorted(path.name for path in source.folder.rglob("*.wav")) == ["0.wav", "1.wav"]


def test_columns_of_numbers_and_of_lengths_are_not_taken_for_something_else(tmp_path):
    make_sounds(tmp_path / "a", "clip", *[f"{n}.wav" for n in range(8)])
    lines = [f"{n % 2},{n},{'dog' if n % 2 else 'cat'}" for n in range(8)]
    table(tmp_path / "a", "t.csv", "fold,id,class", *lines)
    assert len(found(tmp_path / "a")) == 8 and classes(tmp_path / "a") == {"cat", "dog"}
    names = [f"{label}_{n}.wav" for label in ("dog", "cat") for n in range(5)]
    make_sounds(tmp_path / "b", *names)
    lengths = [f"{name},{1 + n / 100}" for n, name in enumerate(names)]
    table(tmp_path / "b", "durations.csv", "file,duration", *lengths)
    assert classes(tmp_path / "b") == {"cat", "dog"}
    make_sounds(tmp_path / "c", "rex.wav", "fido.wav")
    table(tmp_path / "c", "durations.csv", "file,duration", "rex.wav,1.5", "fido.wav,2.5")
    with pytest.raises(SourceError, match="none of its columns is plainly the class.*'duration'"):
        find_labels(tmp_path / "c")


def test_a_stray_file_does_not_undo_splits_and_is_counted(tmp_path):
    names = [f"{split}/{label}/1.wav" for split in ("train", "test") for label in "ab"]
    make_sounds(tmp_path, *names, "loose.wav")
    labelling = find_labels(tmp_path)
    assert labelling.how == "splits" and "1 files lie in none of them" in labelling.words


def test_a_training_file_in_a_folder_called_test_is_not_held_out(tmp_path, tiny_audio):
    make_sounds(tmp_path / "set", *[f"data/test/{n}.wav" for n in range(4)])
    for n, path in enumerate(sorted((tmp_path / "set").rglob("*.wav"))):
        path.write_bytes(path.read_bytes()[: -2 * n - 2])
    lines = [f"{n}.wav,{'ab'[n % 2]},{'test' if n == 3 else 'train'}" for n in range(4)]
    table(tmp_path / "set", "t.csv", "file,label,split", *lines)
    source = open_source(str(tmp_path / "set"), tmp_path / "work")
    data = DataConfig(holdout=source.holdout)
    clips = prepare_clips(source.folder, tiny_audio, data, tmp_path, tmp_path / "cache")
    assert [row.path.split("/")[-1] for row in clips.audit if row.split == "test"] == ["3.wav"]


def test_loose_files_of_an_archive_are_named_by_it(tmp_path):
    archive = zip_folder(make_sounds(tmp_path / "in", "a.wav", "b.wav"), tmp_path / "meow.zip")
    source = open_source(str(archive), tmp_path / "work")
    assert [path.name for path in source.folder.iterdir()] == ["meow"]


def test_labels_that_would_hide_or_split_a_folder_are_spelled_otherwise(tmp_path):
    make_sounds(tmp_path, "x/1.wav", "x/2.wav")
    table(tmp_path, "t.csv", "file,kind: animal", "1.wav,.cat", "2.wav,a/b")
    assert classes(tmp_path, "table:t.csv:kind: animal") == {"_cat", "a_b"}

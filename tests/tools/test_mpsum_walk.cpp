// SPDX-License-Identifier: BSL-1.0
// Which items a walk gives, in which order, and what stops it.
#include "census.hpp"
#include "hash_files.hpp"
#include "support/catch.hpp"
#include "support/temp_tree.hpp"
#include "walk.hpp"

#include <memory>
#include <string>
#include <system_error>
#include <vector>

using namespace mpsum;
using test::TempTree;
using Names = std::vector<std::string>;

namespace {

std::vector<Item> all_of(Walk walk) {
    std::vector<Item> items;
    while (std::optional<Item> item = walk.next()) {
        items.push_back(*item);
    }
    return items;
}

Names names_of(const std::vector<Item>& items) {
    Names names;
    for (const Item& item : items) {
        names.push_back(item.name);
    }
    return names;
}

}  // namespace

TEST_CASE("Walk: files come sorted within each directory, directories in their place") {
    const TempTree tree;
    tree.file("d/b", "");
    tree.file("d/a/z", "");
    tree.file("d/a/y", "");
    tree.file("d/B", "");
    tree.file("d/c", "");
    const std::string d = tree / "d";
    CHECK(
        names_of(all_of(Walk({d}))) ==
        Names{d + "/B", d + "/a/y", d + "/a/z", d + "/b", d + "/c"}
    );
}

TEST_CASE("Walk: a slash at the end of an argument is not doubled") {
    const TempTree tree;
    tree.file("d/a", "");
    CHECK(names_of(all_of(Walk({tree / "d/"}))) == Names{tree / "d/a"});
}

TEST_CASE("Walk: arguments keep their order and may repeat") {
    const TempTree tree;
    const std::string a = tree.file("a", "");
    const std::string b = tree.file("b", "");
    const std::vector<Item> items = all_of(Walk({b, a, "-", b}));
    CHECK(names_of(items) == Names{b, a, "-", b});
    CHECK(items[0].kind == Item::Kind::named);
    CHECK(items[2].kind == Item::Kind::standard_input);
}

TEST_CASE("Walk: a link is followed as an argument, and passed over on the way") {
    const TempTree tree;
    tree.file("d/a", "");
    tree.link("d/to_a", "a");
    tree.link("d/to_d", ".");
    tree.link("d/to_nothing", "nothing");
    const std::string link = tree.link("link", "d");
    const std::string file_link = tree.link("file_link", "d/a");
    CHECK(names_of(all_of(Walk({link, file_link}))) == Names{link + "/a", file_link});
}

TEST_CASE("Walk: a special file gives a message in its turn") {
    const TempTree tree;
    tree.file("d/a", "");
    tree.fifo("d/b");
    tree.file("d/c", "");
    const std::vector<Item> items = all_of(Walk({tree / "d"}));
    REQUIRE(items.size() == 3);
    CHECK(items[1].kind == Item::Kind::failure);
    CHECK(items[1].note == tree / "d/b" + ": Not a regular file");
    CHECK(items[2].kind == Item::Kind::walked);
}

TEST_CASE("Walk: what is missing gives a message, the others go on") {
    const TempTree tree;
    const std::string a = tree.file("a", "");
    const std::vector<Item> items = all_of(Walk({tree / "nope", a, ""}));
    REQUIRE(items.size() == 3);
    CHECK(items[0].note == tree / "nope" + ": No such file or directory");
    CHECK(items[1].name == a);
    CHECK(items[2].note == "'': No such file or directory");
}

TEST_CASE("Walk: a directory is read only when its turn comes") {
    const TempTree tree;
    tree.file("d/a/1", "");
    tree.file("d/b/1", "");
    Walk walk({tree / "d"});
    CHECK(walk.next()->name == tree / "d/a/1");
    tree.file("d/b/0", "");
    CHECK(walk.next()->name == tree / "d/b/0");
    CHECK(walk.next()->name == tree / "d/b/1");
    CHECK_FALSE(walk.next());
}

TEST_CASE("Walk: a directory that vanishes after it was listed is a message") {
    const TempTree tree;
    tree.file("d/a", "");
    tree.file("d/b/1", "");
    tree.file("d/c", "");
    Walk walk({tree / "d"});
    CHECK(walk.next()->name == tree / "d/a");
    std::filesystem::remove_all(tree / "d/b");
    CHECK(walk.next()->note == tree / "d/b" + ": No such file or directory");
    CHECK(walk.next()->name == tree / "d/c");
}

TEST_CASE("Census: counts the files and bytes that a walk will give") {
    const TempTree tree;
    tree.file("d/a", "12345");
    tree.file("d/b/c", "123");
    tree.fifo("d/f");
    Census census(std::make_unique<Walk>(Names{tree / "d"}));
    CHECK(census.unfinished());
    CHECK(census.advance(mp::forever));
    CHECK(census.files() == 2);
    CHECK(census.bytes() == 8);
    CHECK_FALSE(census.unfinished());
    CHECK_FALSE(census.advance(mp::forever));
}

TEST_CASE("hash_files: a file that cannot be read costs only itself") {
    const TempTree tree;
    const std::string a = tree.file("a", "a");
    const std::string d = tree.directory("d");
    const std::string f = tree.fifo("f");
    const std::vector<FileResult> results =
        hash_files(Algorithm::md5, Origin::named, {tree / "nope", d, f, a});
    REQUIRE(results.size() == 4);
    CHECK(results[0].outcome == Outcome::failed);
    CHECK(results[0].error == static_cast<int>(std::errc::no_such_file_or_directory));
    CHECK(results[1].outcome == Outcome::directory);
    CHECK(results[2].outcome == Outcome::special);
    CHECK(results[3].outcome == Outcome::hashed);
    CHECK(results[3].bytes == 1);
    CHECK(
        results[3].text ==
        "\x0c\xc1\x75\xb9\xc0\xf1\xb6\xa8\x31\xc3\x99\xe2\x69\x77\x26\x61"
    );
}

TEST_CASE("hash_files: a large file comes back from a batch, and is hashed alone") {
    const TempTree tree;
    const std::string large = tree.sparse("large", large_file + 1);
    const std::string small = tree.sparse("small", large_file);
    std::vector<FileResult> results =
        hash_files(Algorithm::sha1, Origin::named, {large, small});
    CHECK(results[0].outcome == Outcome::large);
    CHECK(results[1].outcome == Outcome::hashed);
    results = hash_files(Algorithm::sha1, Origin::named, {large});
    CHECK(results[0].outcome == Outcome::hashed);
    CHECK(results[0].bytes == large_file + 1);
}

TEST_CASE("hash_files: a file that became a link since the walk is not followed") {
    const TempTree tree;
    tree.file("a", "a");
    const std::string link = tree.link("link", "a");
    CHECK(
        hash_files(Algorithm::sha256, Origin::walked, {link})[0].outcome ==
        Outcome::failed
    );
    CHECK(
        hash_files(Algorithm::sha256, Origin::named, {link})[0].outcome ==
        Outcome::hashed
    );
}

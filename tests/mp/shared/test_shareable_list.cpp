// SPDX-License-Identifier: BSL-1.0
// ShareableList: its items, its format, and its name.
#include "mp/context.hpp"
#include "mp/errors.hpp"
#include "mp/reduction.hpp"
#include "mp/shareable_list.hpp"

#include "support/catch.hpp"
#include "support/shareable_list.hpp"
#include "support/start_methods.hpp"
#include "support/text_of.hpp"

#include <cstring>
#include <limits>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

using namespace mp;
using test::bytes_of;
using test::List;

namespace {

void change_in_child(ShareableList list) {
    list.set(0, list.at<int>(0) + 1);
    list.set(1, "child");
}

}  // namespace

TEST_CASE("ShareableList: holds what was put in", "[shareable_list]") {
    List list{1, 2.5, "text", true, nullptr, bytes_of("raw"), std::string("12345678")};
    CHECK(list.size() == 7);
    CHECK(list.at<std::int64_t>(0) == 1);
    CHECK(list.at<unsigned char>(0) == 1);
    CHECK(list.at<double>(1) == 2.5);
    CHECK(list.at<std::string>(2) == "text");
    CHECK(list.at<bool>(3));
    CHECK(list.at<std::nullptr_t>(4) == nullptr);
    CHECK(list.at<std::vector<std::byte>>(5) == bytes_of("raw"));
    CHECK(list.at<std::string>(-1) == "12345678");
    CHECK(list.format() == "qd8sxxxxxxx?xxxxxx?x8s16s");
    CHECK(std::string(list[4].type()) == "NoneType");
    CHECK(list.items().size() == 7);
    CHECK_THROWS_AS(list.at<int>(7), std::out_of_range);
    CHECK_THROWS_AS(list.at<int>(-8), std::out_of_range);
    CHECK_THROWS_AS(list.set(7, 1), std::out_of_range);
    CHECK_THROWS_AS(list.at<int>(1), std::invalid_argument);
    CHECK_THROWS_AS(list.at<bool>(0), std::invalid_argument);
}

TEST_CASE("ShareableList: a value may change its type", "[shareable_list]") {
    List list{1, "some text", 3.0};
    list.set(0, -2.5);
    CHECK(list.at<double>(0) == -2.5);
    list.set(0, "8 bytes!");
    CHECK(list.at<std::string>(0) == "8 bytes!");
    list.set(0, nullptr);
    CHECK(list[0] == ShareableItem(nullptr));
    list.set(1, false);
    CHECK(list[1] == ShareableItem(false));
    list.set(1, "sixteen bytes...");
    CHECK(list.at<std::string>(1) == "sixteen bytes...");
    CHECK_THROWS_AS(list.set(1, "seventeen bytes.."), std::invalid_argument);
    CHECK(list.at<std::string>(1) == "sixteen bytes...");
    CHECK(list.at<double>(2) == 3.0);
}

TEST_CASE("ShareableList: what it would lose is refused", "[shareable_list]") {
    List list{"0123456"};
    CHECK_THROWS_AS(list.set(0, std::string("a\0", 2)), std::invalid_argument);
    CHECK_THROWS_AS(
        list.set(0, bytes_of(std::string("a\0", 2))), std::invalid_argument
    );
    list.set(0, std::string("a\0b", 3));
    CHECK(list.at<std::string>(0) == std::string("a\0b", 3));
    for (const char* no_text :
         {"\xff", "\xc0\x80", "\xed\xa0\x80", "\xf5\x80\x80\x80", "\xc3"}) {
        CHECK_THROWS_AS(list.set(0, no_text), std::invalid_argument);
        list.set(0, bytes_of(no_text));
        CHECK(list.at<ShareableItem::Bytes>(0) == bytes_of(no_text));
    }
    CHECK_THROWS_AS(
        ShareableItem(std::numeric_limits<std::uint64_t>::max()), std::invalid_argument
    );
    CHECK_THROWS_AS(ShareableItem(300).as<unsigned char>(), std::invalid_argument);
}

TEST_CASE("ShareableList: text of several bytes a character", "[shareable_list]") {
    const std::string text = "\xc3\xa4\xc3\xb6\xc3\xbc\xe2\x82\xac\xf0\x9f\x90\x8d";
    std::string longer;
    for (int i = 0; i < 50; ++i) {
        longer += text;
        List list{longer, 7};
        CHECK(list.at<std::string>(0) == longer);
        CHECK(list.at<int>(1) == 7);
    }
}

TEST_CASE("ShareableList: of no items, and found by name", "[shareable_list]") {
    List empty(std::initializer_list<ShareableItem>{});
    CHECK(empty.size() == 0);
    CHECK(empty.format().empty());
    CHECK(empty.begin() == empty.end());
    List list{1, "two"};
    ShareableList same({.name = list.shm().name()});
    same.set(0, 2);
    CHECK(list.at<int>(0) == 2);
    const std::vector<ShareableItem> items = list.items();
    ShareableList copy({.name = list.shm().name() + "-copy"}, items);
    copy.set(0, 3);
    CHECK(list.at<int>(0) == 2);
    CHECK(copy.shm().name() == list.shm().name() + "-copy");
    copy.shm().unlink();
}

TEST_CASE("ShareableList: count() and index() compare as Python", "[shareable_list]") {
    List list{1, 1.0, true, "1", 2, bytes_of("1")};
    CHECK(list.count(1) == 3);
    CHECK(list.count("1") == 1);
    CHECK(list.index(2) == 4);
    CHECK(list.index(bytes_of("1")) == 5);
    CHECK(list.index(true) == 0);
    CHECK_THROWS_AS(list.index("none"), std::invalid_argument);
    const std::int64_t large = (std::int64_t{1} << 53U) + 1;
    CHECK_FALSE(ShareableItem(large) == ShareableItem(static_cast<double>(large)));
}

TEST_CASE("ShareableList: only the name travels in a message", "[shareable_list]") {
    List list{1, std::string(10000, 'x')};
    const auto message = dumps(static_cast<ShareableList&>(list));
    CHECK(message.size() < 100);
    auto copy = loads<ShareableList>(message);
    copy.set(0, 2);
    CHECK(list.at<int>(0) == 2);
}

TEST_CASE("ShareableList: changed by a child", "[shareable_list]") {
    const Context ctx = each_start_method();
    List list{41, "parent"};
    auto p = ctx.Process(change_in_child, static_cast<ShareableList&>(list));
    p.start();
    p.join();
    CHECK(p.exitcode() == 0);
    CHECK(list.at<int>(0) == 42);
    CHECK(list.at<std::string>(1) == "child");
}

TEST_CASE("ShareableList: closed, it is an error", "[shareable_list]") {
    List list{1};
    list.shm().unlink();
    list.shm().close();
    CHECK_THROWS_AS(list[0], std::invalid_argument);
    CHECK_THROWS_AS(list.set(0, 1), std::invalid_argument);
    CHECK_THROWS_AS(ShareableList().format(), std::invalid_argument);
}

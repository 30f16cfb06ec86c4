// SPDX-License-Identifier: BSL-1.0
// ShareableList, by the rows of the conformance table.
#include "mp/reduction.hpp"
#include "mp/shareable_list.hpp"

#include "support/catch.hpp"
#include "support/error_of.hpp"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <initializer_list>
#include <stdexcept>
#include <string>
#include <vector>

using test::error_of;

TEST_CASE(
    "_TestSharedMemory.test_shared_memory_ShareableList_basics: as in Python",
    "[shareable_list]"
) {
    const std::vector<std::byte> howdy = {
        std::byte{'H'}, std::byte{'o'}, std::byte{'W'}, std::byte{'d'}, std::byte{'Y'}};
    mp::ShareableList list{"howdy", howdy, -273.154, 100, nullptr, true, 42};
    CHECK(list.format() == "8s8sdqxxxxxx?xxxxxxxx?q");
    CHECK(list.size() == 7);
    CHECK_THROWS_AS(list[7], std::out_of_range);
    CHECK_THROWS_AS(list.set(7, 2), std::out_of_range);
    CHECK(list.index(42) == 6);
    CHECK(list.count("howdy") == 1);
    CHECK(list.at<int>(-1) == 42);
    CHECK(std::count(list.begin(), list.end(), mp::ShareableItem(howdy)) == 1);
    list.set(3, -1000);
    CHECK(list.at<int>(3) == -1000);
    list.set(3, 0.5);
    CHECK(list.at<double>(3) == 0.5);
    list.set(3, "1");
    CHECK(list.format() == "8s8sd8sxxxxxx?xxxxxxxx?q");
    // "encodé" has seven bytes of UTF-8 and is 6 characters long.
    list.set(0, "encod\xc3\xa9");
    CHECK(list.at<std::string>(0) == "encod\xc3\xa9");
    CHECK_THROWS_AS(list.set(0, "far too many"), std::invalid_argument);
    CHECK(list.at<std::string>(0) == "encod\xc3\xa9");
    CHECK(list[1] == howdy);

    const std::string name = "mp-" + std::to_string(::getpid()) + "-duplicate";
    mp::ShareableList copy({.name = name}, list.items());
    CHECK(copy.shm().name() == name);
    CHECK(copy.shm().name() != list.shm().name());
    copy.set(-1, 100);
    CHECK(list.at<int>(-1) == 42);
    const mp::ShareableList shared({.name = name});
    CHECK(shared.at<int>(-1) == 100);
    copy.shm().unlink();
    list.shm().unlink();

    mp::ShareableList empty(std::initializer_list<mp::ShareableItem>{});
    CHECK(empty.size() == 0);
    CHECK(empty.format().empty());
    CHECK(empty.count(nullptr) == 0);
    CHECK_THROWS_AS(empty.index(nullptr), std::invalid_argument);
    empty.shm().unlink();
}

TEST_CASE(
    "_TestSharedMemory.test_shared_memory_ShareableList_pickling: only the name",
    "[shareable_list]"
) {
    mp::ShareableList short_one{1};
    mp::ShareableList long_one({}, std::vector<mp::ShareableItem>(1000, "something"));
    const auto bytes = mp::dumps(long_one);
    CHECK(bytes.size() == mp::dumps(short_one).size());
    auto same = mp::loads<mp::ShareableList>(bytes);
    CHECK(same.shm().name() == long_one.shm().name());
    same.set(-1, 3);
    CHECK(long_one.at<int>(-1) == 3);
    short_one.shm().unlink();
    long_one.shm().unlink();
}

TEST_CASE(
    "_TestSharedMemory.test_shared_memory_ShareableList_pickling_dead_object: ENOENT",
    "[shareable_list]"
) {
    mp::ShareableList list{1, 2};
    const auto bytes = mp::dumps(list);
    list.shm().unlink();
    CHECK(error_of([&] { mp::loads<mp::ShareableList>(bytes); }) == ENOENT);
}

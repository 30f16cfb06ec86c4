// SPDX-License-Identifier: BSL-1.0
// StartMethod: names, and how the default is chosen: once, by setting it or by asking.
#include "mp/context.hpp"
#include "mp/errors.hpp"
#include "mp/start_method.hpp"

#include "support/catch.hpp"
#include "support/exit_code.hpp"
#include "support/open_start_method.hpp"
#include "support/start_methods.hpp"

#include <atomic>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

using mp::StartMethod;

namespace {

bool is_open() {
    return !mp::get_start_method({.allow_none = true});
}

// The status says what the child found settled.
void report_choice() {
    const auto method = mp::get_start_method({.allow_none = true});
    throw mp::SystemExit(method ? 10 + static_cast<int>(*method) : 3);
}

// The status says whether the child could choose for itself.
void choose() {
    try {
        mp::set_start_method(StartMethod::fork);
    } catch (const mp::StateError&) {
        throw mp::SystemExit(4);
    }
    throw mp::SystemExit(mp::get_start_method() == StartMethod::fork ? 3 : 5);
}

}  // namespace

TEST_CASE("StartMethod: names lead to methods and back", "[process]") {
    for (const StartMethod method : mp::get_all_start_methods()) {
        CHECK(mp::start_method_from(mp::to_string(method)) == method);
        CHECK(method == mp::to_string(method));
    }
    CHECK(mp::to_string(StartMethod::fork) == "fork");
    CHECK(mp::to_string(StartMethod::spawn) == "spawn");
    CHECK(mp::to_string(StartMethod::forkserver) == "forkserver");
}

TEST_CASE("StartMethod: compares with Python's names", "[process]") {
    CHECK(StartMethod::spawn == "spawn");
    CHECK("spawn" == StartMethod::spawn);
    CHECK(StartMethod::fork != "forkserver");
    CHECK_FALSE(StartMethod::fork == "");
}

TEST_CASE("StartMethod: any other name is an error that lists them", "[process]") {
    for (const char* const name : {"", "Fork", "fork ", "thread"}) {
        CHECK_THROWS_AS(mp::start_method_from(name), std::invalid_argument);
    }
    CHECK_THROWS_WITH(
        mp::start_method_from("thread"),
        test::ContainsSubstring("'thread'") &&
            test::ContainsSubstring("fork, spawn and forkserver")
    );
}

TEST_CASE("set_start_method: once, unless forced", "[process]") {
    const test::OpenStartMethod open;
    mp::set_start_method(StartMethod::spawn);
    CHECK(mp::get_start_method() == StartMethod::spawn);
    CHECK_THROWS_AS(mp::set_start_method(StartMethod::fork), mp::StateError);
    // The same once more is an error as well, as in Python.
    CHECK_THROWS_WITH(
        mp::set_start_method("spawn"), test::ContainsSubstring("already been set")
    );
    CHECK(mp::get_start_method() == StartMethod::spawn);
    mp::set_start_method("fork", {.force = true});
    CHECK(mp::get_start_method() == StartMethod::fork);
    mp::set_start_method(StartMethod::forkserver, {.force = true});
    CHECK(mp::get_start_method() == StartMethod::forkserver);
}

TEST_CASE("set_start_method: an unknown name settles nothing", "[process]") {
    const test::OpenStartMethod open;
    CHECK_THROWS_AS(mp::set_start_method("threads"), std::invalid_argument);
    CHECK_THROWS_AS(
        mp::set_start_method("threads", {.force = true}), std::invalid_argument
    );
    CHECK(is_open());
}

TEST_CASE(
    "get_start_method: asking settles it, unless none is an answer", "[process]"
) {
    const test::OpenStartMethod open;
    CHECK(is_open());
    CHECK(is_open());
    CHECK(mp::get_start_method({}) == mp::get_all_start_methods().front());
    CHECK_FALSE(is_open());
    CHECK_THROWS_AS(mp::set_start_method(StartMethod::fork), mp::StateError);
    CHECK(mp::get_start_method({.allow_none = true}) == mp::get_start_method());
}

TEST_CASE("set_start_method: of many threads one succeeds", "[process]") {
    const test::OpenStartMethod open;
    constexpr int count = 8;
    std::atomic<int> succeeded{0};
    std::atomic<int> refused{0};
    std::vector<std::thread> threads;
    for (int i = 0; i < count; ++i) {
        threads.emplace_back([&] {
            try {
                mp::set_start_method(StartMethod::spawn);
                ++succeeded;
            } catch (const mp::StateError&) {
                ++refused;
            }
        });
    }
    for (std::thread& thread : threads) {
        thread.join();
    }
    CHECK(succeeded == 1);
    CHECK(refused == count - 1);
    CHECK(mp::get_start_method() == StartMethod::spawn);
}

TEST_CASE("get_start_method: a child finds its parent's choice settled", "[process]") {
    const mp::Context ctx = each_start_method();
    const test::OpenStartMethod open;
    mp::set_start_method(StartMethod::spawn);
    CHECK(
        test::exit_code_of(ctx.Process(report_choice)) ==
        10 + static_cast<int>(StartMethod::spawn)
    );
    CHECK(test::exit_code_of(ctx.Process(choose)) == 4);
    CHECK(mp::get_start_method() == StartMethod::spawn);
}

TEST_CASE("get_start_method: what is open is open in a child, too", "[process]") {
    const mp::Context ctx = each_start_method();
    const test::OpenStartMethod open;
    CHECK(test::exit_code_of(ctx.Process(report_choice)) == 3);
    CHECK(test::exit_code_of(ctx.Process(choose)) == 3);
    // The child chose for itself alone.
    CHECK(is_open());
}

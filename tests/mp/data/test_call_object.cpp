// SPDX-License-Identifier: BSL-1.0
// Call, the value: made once, copied, archived, run.
#include "mp/call.hpp"
#include "mp/data/call_targets.hpp"
#include "mp/errors.hpp"
#include "mp/reduction.hpp"

#include "support/catch.hpp"

#include <stdexcept>
#include <string>
#include <string_view>

using test::targets::add;
using test::targets::Adder;
using test::targets::fail;
using test::targets::literal_of;
using test::targets::nothing;
using test::targets::unreadable;

namespace {

int calls = 0;
std::string heard;

int remember(const std::string& text, int times) {
    calls += times;
    heard = text;
    return calls;
}

}  // namespace

TEST_CASE("Call: a value that is made once, copied, and run as often as wanted") {
    calls = 0;
    std::string text = "before";
    const mp::Call call = mp::call(remember, text, 2);
    text = "after";
    const mp::Call copy = call;
    call();
    copy();
    CHECK(calls == 4);
    CHECK(heard == "before");
}

TEST_CASE("Call: drops a result that could not travel") {
    mp::call(literal_of, 1)();
    mp::call(unreadable)();
    mp::call([] { return std::string_view("view"); })();
}

TEST_CASE("Call: is archived as any value") {
    calls = 0;
    const auto bytes = mp::dumps(mp::call(remember, "text", 1));
    const auto call = mp::loads<mp::Call>(bytes);
    call();
    CHECK(calls == 1);
    CHECK(heard == "text");
    const mp::Call same_call(call.bytes());
    same_call();
    CHECK(calls == 2);
}

TEST_CASE("Call: lets the function's exception through") {
    CHECK_THROWS_AS(mp::call(fail)(), std::domain_error);
}

TEST_CASE("Call: an empty one is false and cannot be called") {
    const mp::Call empty;
    CHECK_FALSE(empty);
    CHECK(empty.name().empty());
    CHECK_THROWS_AS(empty(), mp::StateError);
    CHECK(mp::call(nothing));
}

TEST_CASE("Call: names its function") {
    CHECK(mp::call(add, 1, 2).name().find("add(int, int)") != std::string::npos);
    CHECK(mp::call(Adder{1}, 2).name().find("Adder") != std::string::npos);
    CHECK(mp::call([] {}).name().find("lambda") != std::string::npos);
}

// SPDX-License-Identifier: BSL-1.0
// Conditions and events, by the rows of the conformance table, under every start
// method.
#include "mp/mp.hpp"

#include "ported/bunch.hpp"
#include "support/catch.hpp"
#include "support/soon.hpp"
#include "support/start_methods.hpp"

#include <chrono>
#include <mutex>

using namespace std::chrono_literals;
using test::Bunch;
using test::expect;
using test::short_time;
using test::soon;
using test::time_of;

namespace {

void wait_once(mp::Condition cond, mp::Semaphore woken, bool forever) {
    cond.acquire();
    const bool notified = cond.wait(forever ? mp::Timeout(mp::forever) : short_time);
    cond.release();
    woken.release();
    expect(notified == forever);
}

void count_to_four(mp::Condition cond, mp::Semaphore state) {
    {
        const std::lock_guard held(cond);
        expect(cond.wait_for([&] { return state.get_value() == 4; }, 30s));
    }
}

void notify_for_a_while(mp::Condition cond, mp::Semaphore ready) {
    ready.release();
    for (int i = 0; i < 10; ++i) {
        const std::lock_guard held(cond);
        cond.notify();
    }
}

void notify_once(mp::Condition cond) {
    const std::lock_guard held(cond);
    cond.notify();
}

void set_event(mp::Event event) {
    event.set();
}

}  // namespace

TEST_CASE("_TestCondition.test_notify", "[ported][condition]") {
    const auto context = each_start_method();
    mp::Condition cond = context.Condition();
    mp::Semaphore woken(0);
    Bunch waiters(context, 1, 1, wait_once, cond, woken, true);
    REQUIRE(soon([&] { return cond.waiting() == 2; }));
    CHECK(woken.get_value() == 0);
    for (int left = 1; left >= 0; --left) {
        notify_once(cond);
        CHECK(woken.acquire(20s));
        CHECK_FALSE(woken.acquire(short_time));
        CHECK(cond.waiting() == left);
    }
    CHECK(waiters.join());
}

TEST_CASE("_TestCondition.test_notify_all", "[ported][condition]") {
    const auto context = each_start_method();
    mp::Condition cond = context.Condition();
    mp::Semaphore woken(0);
    Bunch timing_out(context, 3, 3, wait_once, cond, woken, false);
    CHECK(timing_out.join());
    CHECK(woken.get_value() == 6);
    CHECK(cond.waiting() == 0);

    Bunch waiters(context, 3, 3, wait_once, cond, woken, true);
    REQUIRE(soon([&] { return cond.waiting() == 6; }));
    {
        const std::lock_guard held(cond);
        cond.notify_all();
    }
    CHECK(waiters.join());
    CHECK(woken.get_value() == 12);
    CHECK(cond.waiting() == 0);
}

TEST_CASE("_TestCondition.test_notify_n", "[ported][condition]") {
    const auto context = each_start_method();
    mp::Condition cond = context.Condition();
    mp::Semaphore woken(0);
    const auto notify = [&](int count) {
        const std::lock_guard held(cond);
        cond.notify(count);
    };
    Bunch waiters(context, 3, 3, wait_once, cond, woken, true);
    REQUIRE(soon([&] { return cond.waiting() == 6; }));
    notify(2);
    REQUIRE(soon([&] { return woken.get_value() == 2; }));
    CHECK(cond.waiting() == 4);
    notify(4);
    REQUIRE(soon([&] { return woken.get_value() == 6; }));
    notify(3);
    CHECK(waiters.join());
    CHECK(woken.get_value() == 6);
    CHECK(cond.waiting() == 0);
}

TEST_CASE("_TestCondition.test_timeout", "[ported][condition]") {
    mp::Condition cond = each_start_method().Condition();
    cond.acquire();
    CHECK(time_of([&] { CHECK_FALSE(cond.wait(short_time)); }) >= short_time);
    cond.release();
    CHECK_THROWS_AS(cond.release(), mp::StateError);
}

TEST_CASE("_TestCondition.test_waitfor", "[ported][condition]") {
    const auto context = each_start_method();
    mp::Condition cond = context.Condition();
    mp::Semaphore state(0);
    mp::Process p = context.Process(count_to_four, cond, state);
    p.start();
    {
        const std::lock_guard held(cond);
        CHECK(cond.wait_for([&] { return state.get_value() == 0; }));
    }
    for (int i = 0; i < 4; ++i) {
        const std::lock_guard held(cond);
        state.release();
        cond.notify();
    }
    CHECK(p.join(30s));
    CHECK(p.exitcode() == 0);
}

TEST_CASE("_TestCondition.test_waitfor_timeout", "[ported][condition]") {
    const auto context = each_start_method();
    mp::Condition cond = context.Condition();
    mp::Semaphore ready(0);
    mp::Process p = context.Process(notify_for_a_while, cond, ready);
    p.start();
    REQUIRE(ready.acquire(30s));
    {
        const std::lock_guard held(cond);
        CHECK(time_of([&] {
                  CHECK_FALSE(cond.wait_for([] { return false; }, short_time));
              }) >= short_time);
    }
    CHECK(p.join(30s));
    CHECK(p.exitcode() == 0);
}

TEST_CASE("_TestCondition.test_wait_result", "[ported][condition]") {
    const auto context = each_start_method();
    mp::Condition cond = context.Condition();
    cond.acquire();
    CHECK_FALSE(cond.wait(0s));
    CHECK_FALSE(cond.wait(short_time));
    mp::Process p = context.Process(notify_once, cond);
    p.start();
    CHECK(cond.wait(60s));
    cond.release();
    CHECK(p.join(30s));
}

TEST_CASE("_TestEvent.test_event", "[ported][event]") {
    const auto context = each_start_method();
    mp::Event event = context.Event();
    CHECK_FALSE(event.is_set());
    CHECK_FALSE(event.wait(0s));
    CHECK(time_of([&] { CHECK_FALSE(event.wait(short_time)); }) >= short_time);
    event.set();
    CHECK(event.is_set());
    CHECK(event.wait());
    CHECK(event.wait(short_time));
    event.clear();
    CHECK_FALSE(event.is_set());
    mp::Process p = context.Process(set_event, event);
    p.start();
    CHECK(event.wait());
    CHECK(p.join(30s));
}

TEST_CASE("_TestEvent.test_repr", "[ported][event]") {
    mp::Event event = each_start_method().Event();
    CHECK(to_string(event) == "<Event unset>");
    event.set();
    CHECK(to_string(event) == "<Event set>");
    event.clear();
    CHECK(to_string(event) == "<Event unset>");
}

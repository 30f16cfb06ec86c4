// SPDX-License-Identifier: BSL-1.0
// The state that the handles of a future share with its executor.
#include "futures/detail/state.hpp"
#include "futures/errors.hpp"

#include "support/catch.hpp"

#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

using namespace std::chrono_literals;
using futures::FutureState;
using futures::detail::Outcome;
using futures::detail::Settler;
using futures::detail::StateBase;

namespace {

const mp::Deadline endless(mp::forever);

/// Counts its life, and plays an executor's task with late decoding.
class Task : public futures::detail::State<std::string> {
public:
    explicit Task(int& alive) : State(Settler::executor), alive_(alive) { ++alive_; }

    bool may_cancel = true;
    bool fails = false;
    FutureState seen = FutureState::pending;
    int materialised = 0;
    int discarded = 0;
    int watches = 0;

private:
    ~Task() override { --alive_; }

    bool request_cancel() noexcept override { return may_cancel; }

    void discard_work() noexcept override { ++discarded; }

    FutureState observe() const noexcept override { return seen; }

    void watched() noexcept override { ++watches; }

    void materialise() override {
        ++materialised;
        if (fails) {
            throw std::runtime_error("not decodable");
        }
        emplace("decoded");
    }

    int& alive_;
};

class Count : public futures::detail::Watcher {
public:
    Count(bool is_callback, int& told) : Watcher(is_callback), told_(told) {}

    void told(StateBase&) noexcept override { ++told_; }

private:
    int& told_;
};

}  // namespace

TEST_CASE("State: an executor's task lives until both references are gone", "[state]") {
    int alive = 0;
    auto* task = new Task(alive);
    CHECK(task->state() == FutureState::pending);
    CHECK_FALSE(task->wait(mp::Deadline(0s)));
    CHECK(task->start());
    CHECK(task->state() == FutureState::running);
    CHECK_FALSE(task->cancel());
    task->emplace("done");
    task->finish(Outcome::value);
    CHECK(task->wait(mp::Deadline(0s)));
    CHECK(task->is_sole());
    CHECK(task->value() == "done");
    CHECK(alive == 1);
    task->drop_reference();
    CHECK(alive == 0);
}

TEST_CASE(
    "State: a task nobody waits for is gone when it has been concluded", "[state]"
) {
    int alive = 0;
    auto* task = new Task(alive);
    task->drop_reference();
    REQUIRE(task->start());
    task->emplace("unread");
    CHECK_FALSE(task->conclude(Outcome::value));
    CHECK(alive == 0);
}

TEST_CASE("State: materialise() is called once, by who asks first", "[state]") {
    for (int round = 0; round < 100; ++round) {
        int alive = 0;
        auto* task = new Task(alive);
        task->fails = round % 2 == 1;
        std::vector<std::thread> readers;
        for (int i = 0; i < 3; ++i) {
            readers.emplace_back([task] {
                task->wait(endless);
                task->settle_value();
            });
        }
        task->finish(Outcome::raw_value);
        for (auto& reader : readers) {
            reader.join();
        }
        CHECK(task->materialised == 1);
        if (task->fails) {
            CHECK(task->raised());
            CHECK_THROWS_WITH(
                std::rethrow_exception(task->exception()), "not decodable"
            );
        } else {
            CHECK(task->value() == "decoded");
        }
        task->drop_reference();
        CHECK(alive == 0);
    }
}

TEST_CASE("State: the executor decides about cancel(), and is told once", "[state]") {
    int alive = 0;
    auto* task = new Task(alive);
    task->may_cancel = false;
    task->seen = FutureState::running;
    CHECK(task->state() == FutureState::running);
    CHECK_FALSE(task->cancel());
    task->may_cancel = true;
    CHECK(task->cancel());
    CHECK(task->cancel());
    CHECK(task->discarded == 1);
    CHECK(task->state() == FutureState::cancelled_and_notified);
    CHECK_FALSE(task->start());
    task->drop_reference();
    task->drop_reference();
    CHECK(alive == 0);
}

TEST_CASE("State: callbacks are left to who may run them", "[state]") {
    int alive = 0;
    int waiters = 0;
    int callbacks = 0;
    auto* task = new Task(alive);
    Count waiter(false, waiters);
    CHECK(task->add_waiter(waiter));
    task->add_callback(std::make_unique<Count>(true, callbacks));
    CHECK(task->watches == 1);
    CHECK(task->has_callbacks());
    task->emplace("x");
    REQUIRE(task->conclude(Outcome::value));
    CHECK(waiters == 1);
    CHECK(callbacks == 0);
    CHECK(task->done());
    task->run_callbacks();
    task->end_telling();
    CHECK(callbacks == 1);
    task->add_callback(std::make_unique<Count>(true, callbacks));
    CHECK(callbacks == 2);
    CHECK_FALSE(task->add_waiter(waiter));
    task->drop_reference();
    CHECK(alive == 0);
}

TEST_CASE("State: a waiter that left is not told, a timeout leaves none", "[state]") {
    int alive = 0;
    int told = 0;
    auto* task = new Task(alive);
    {
        Count first(false, told);
        Count second(false, told);
        Count third(false, told);
        CHECK(task->add_waiter(first));
        CHECK(task->add_waiter(second));
        CHECK(task->add_waiter(third));
        task->remove_waiter(second);
        task->remove_waiter(first);
        task->remove_waiter(third);
    }
    CHECK_FALSE(task->wait(mp::Deadline(1ms)));
    task->emplace("x");
    task->finish(Outcome::value);
    CHECK(told == 0);
    task->drop_reference();
    CHECK(alive == 0);
}

TEST_CASE("State: one of many settlers wins, sleepers wake", "[state]") {
    for (int round = 0; round < 200; ++round) {
        auto* state = new futures::detail::State<int>(Settler::anybody);
        std::atomic<int> won{0};
        std::vector<std::thread> threads;
        for (int i = 0; i < 3; ++i) {
            threads.emplace_back([&, i] {
                try {
                    state->begin_settling("set_result");
                } catch (const futures::InvalidStateError&) {
                    return;
                }
                ++won;
                state->emplace(i);
                state->end_settling(Outcome::value);
            });
        }
        CHECK(state->wait(endless));
        CHECK(state->value() < 3);
        for (auto& thread : threads) {
            thread.join();
        }
        CHECK(won == 1);
        state->drop_reference();
    }
}

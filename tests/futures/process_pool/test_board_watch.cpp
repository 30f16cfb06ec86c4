// SPDX-License-Identifier: BSL-1.0
// What the board makes of words that cannot be true, one at a time: this process plays
// the parent and its worker.
#include "futures/process_pool/board_pool.hpp"

#include "support/catch.hpp"

#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

using namespace futures::detail;
using test::TestTask;

namespace {

/// Calls `during` in the first task; each has a result of one byte.
class OneByte final : public TaskRunner {
public:
    explicit OneByte(std::function<void()> during) : during_(std::move(during)) {}

    ResultKind
    run(std::span<const std::byte> /*call*/,
        mp::detail::ByteWriter& out) noexcept override {
        if (during_) {
            std::exchange(during_, nullptr)();
        }
        out.put_value(std::byte{1});
        return ResultKind::value;
    }

private:
    std::function<void()> during_;
};

class Played {
public:
    Played() { board.prepare(0, arena_); }

    void submit(int count) {
        for (int i = 0; i < count; ++i) {
            tasks.push_back(std::make_unique<TestTask>());
            board.submit(*tasks.back(), call_);
        }
    }

    /// Worker 0 takes so many tasks, and calls `during` in the first of them.
    void work(std::uint64_t count, std::function<void()> during) {
        ResultArenaWriter results(
            mp::detail::Segment(mp::UniqueFd(::dup(arena_->segment().fileno())))
        );
        BoardWorkerOptions options;
        options.doorbell = board.doorbell().fileno();
        options.max_tasks = count;
        OneByte runner(std::move(during));
        BoardWorker(board.view(), calls_->memory(), results, options).run(runner);
        board.drain();
    }

    void say(std::uint64_t position, SlotKind kind, std::uint32_t worker = 0) {
        board.view().slots()[position].word = slot_word(position, kind, worker);
    }

    /// What the board finds in as many ticks as it takes to look at its tasks.
    std::string found() {
        for (int tick = 0; tick < 30; ++tick) {
            board.guard();
        }
        return board.damage() != nullptr ? board.damage() : "";
    }

    std::size_t recover() {
        return board.recover(0, [](BoardTask&) {
            return std::make_exception_ptr(std::runtime_error("lost"));
        });
    }

    Board board{BoardOptions{.workers = 2, .slots = 16}};
    std::vector<std::unique_ptr<TestTask>> tasks;

private:
    const std::vector<std::byte> call_{8};
    std::shared_ptr<CallArena> calls_ =
        std::make_shared<CallArena>(arena_sizes(1).calls);
    std::shared_ptr<ResultArenaReader> arena_ =
        std::make_shared<ResultArenaReader>(arena_sizes(1).results);
};

}  // namespace

TEST_CASE("Board: finds nothing where nothing was written over", "[board]") {
    Played pool;
    pool.submit(4);
    pool.work(3, [] {});
    CHECK(pool.found().empty());
    CHECK(pool.recover() == 0);
    CHECK(pool.found().empty());
}

TEST_CASE("Board: a worker has no task from before one that it told of", "[board]") {
    const auto kind = GENERATE(SlotKind::claimed, SlotKind::running);
    Played pool;
    pool.submit(4);
    pool.work(3, [&] { pool.say(2, kind); });
    CHECK(pool.tasks[3]->is_finished());
    SECTION("while it lives") {
        CHECK(pool.found() == "who has a task");
    }
    SECTION("when it dies") {
        CHECK(pool.recover() == 0);
        CHECK(pool.board.statistics().given_back == 0);
        CHECK(pool.board.damage() != nullptr);
    }
    CHECK_FALSE(pool.tasks[2]->is_finished());
}

TEST_CASE("Board: a task that the head has not reached was never claimed", "[board]") {
    const auto kind = GENERATE(SlotKind::claimed, SlotKind::running);
    Played pool;
    pool.submit(4);
    pool.work(1, [&] { pool.say(2, kind); });
    CHECK(pool.found() == "who has a task");
}

TEST_CASE("Board: a dead worker leaves one task at most", "[board]") {
    const auto kind = GENERATE(SlotKind::claimed, SlotKind::running);
    Played pool;
    pool.submit(4);
    pool.work(1, [] {});
    pool.say(1, kind);
    pool.say(2, kind);
    CHECK(pool.recover() == 0);
    CHECK(pool.board.statistics().given_back == 0);
    CHECK(pool.board.damage() != nullptr);
}

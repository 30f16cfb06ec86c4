// SPDX-License-Identifier: BSL-1.0
// What the board makes of words that cannot be true, one at a time: this process plays
// the parent and its worker.
#include "futures/process_pool/board_pool.hpp"

#include "support/catch.hpp"

#include <unistd.h>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <exception>
#include <functional>
#include <memory>
#include <span>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

using namespace futures::detail;
using test::TestTask;

namespace {

/// Calls `during` in the first task; each has a result of so many bytes.
class Runner final : public TaskRunner {
public:
    Runner(std::function<void()> during, std::size_t size)
        : during_(std::move(during)), size_(size) {}

    ResultKind
    run(std::span<const std::byte> /*call*/,
        mp::detail::ByteWriter& out) noexcept override {
        if (during_) {
            std::exchange(during_, nullptr)();
        }
        std::memset(out.extend(size_), 1, size_);
        return ResultKind::value;
    }

private:
    std::function<void()> during_;
    const std::size_t size_;
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
    void work(std::uint64_t count, std::function<void()> during, std::size_t size = 1) {
        ResultArenaWriter results(
            mp::detail::Segment(mp::UniqueFd(::dup(arena_->segment().fileno())))
        );
        BoardWorkerOptions options;
        options.doorbell = board.doorbell().fileno();
        options.max_tasks = count;
        Runner runner(std::move(during), size);
        BoardWorker(board.view(), calls_->memory(), results, options).run(runner);
        board.drain();
    }

    void say(std::uint64_t position, SlotKind kind, std::uint32_t worker = 0) {
        board.view().slots()[position].word = slot_word(position, kind, worker);
    }

    WorkerPhase phase() const { return board.view().control(0).phase.load(); }

    /// One bit more or less in a call on the board.
    void spoil(std::uint64_t position) {
        board.view().slots()[position].item.bytes[3] ^= std::byte{16};
    }

    /// That word of the arena of results.
    template <class Word>
    std::atomic<Word>& arena_word(std::size_t at) {
        return *reinterpret_cast<std::atomic<Word>*>(arena_->memory() + at);
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
    /// So small that a worker may wait for room.
    std::shared_ptr<ResultArenaReader> arena_ =
        std::make_shared<ResultArenaReader>(1U << 20U);
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

TEST_CASE("Board: a call that was written over is not run", "[board]") {
    Played pool;
    pool.submit(4);
    SECTION("its worker says so") {
        pool.work(3, [&] { pool.spoil(1); });
        CHECK(pool.phase() == WorkerPhase::damaged);
        CHECK(pool.tasks[0]->is_finished());
    }
    SECTION("nor given back") {
        pool.work(1, [] {});
        // As a worker leaves it that is killed between the two.
        pool.say(1, SlotKind::claimed);
        pool.spoil(1);
        CHECK(pool.recover() == 0);
        CHECK(pool.board.damage() == std::string("a call that a worker had not begun"));
    }
    CHECK(pool.board.statistics().given_back == 0);
    CHECK_FALSE(pool.tasks[1]->is_finished());
}

TEST_CASE("Board: a worker whose arena was written over ends", "[board]") {
    Played pool;
    pool.submit(4);
    pool.work(
        3, [&] { pool.arena_word<std::uint64_t>(0).store(64 * 100 + 1); }, 5000
    );
    CHECK(pool.phase() == WorkerPhase::damaged);
    CHECK(pool.tasks[0]->is_finished());  // that one is right
    CHECK_FALSE(pool.tasks[1]->is_finished());
}

TEST_CASE("Board: a worker that waits in vain for room is given up", "[board]") {
    Played pool;
    pool.submit(2);
    pool.work(
        1, [] {}, 5000
    );
    CHECK(pool.found().empty());
    CHECK_FALSE(pool.board.is_faulty(0));
    pool.arena_word<std::uint32_t>(64).store(1);  // it waits
    // What was given back is still there to be taken.
    CHECK(pool.found().empty());
    CHECK_FALSE(pool.board.is_faulty(0));
    pool.arena_word<std::uint64_t>(0).store(0);
    CHECK(pool.found().empty());
    CHECK(pool.board.is_faulty(0));
}

TEST_CASE("Board: nobody sleeps or searches by a number that is free", "[board]") {
    Played pool;
    pool.submit(2);
    pool.board.prepare(1, std::make_shared<ResultArenaReader>(1U << 20U));
    pool.board.recover(1, [](BoardTask&) { return std::exception_ptr(); });
    BoardHeader& header = pool.board.view().header();
    const std::array sets{&header.sleepers, &header.searching};
    const auto bit = WorkerSet::bit_of(1);
    for (WorkerSet* const set : sets) {
        set->word_of(1).fetch_or(bit);
    }
    SECTION("the watch clears what says so") {
        CHECK(pool.found().empty());
    }
    SECTION("and so does the next process") {
        pool.board.prepare(1, std::make_shared<ResultArenaReader>(1U << 20U));
    }
    for (WorkerSet* const set : sets) {
        CHECK((set->word_of(1).load() & bit) == 0);
    }
}

TEST_CASE("Board: a claimed task that counts as begun is not given back", "[board]") {
    const bool begun = GENERATE(false, true);
    Played pool;
    pool.submit(2);
    pool.work(1, [] {});
    pool.say(1, SlotKind::claimed);
    pool.tasks[1]->begun = begun;
    CHECK(pool.recover() == (begun ? 1 : 0));
    CHECK(pool.board.statistics().given_back == (begun ? 0 : 1));
}

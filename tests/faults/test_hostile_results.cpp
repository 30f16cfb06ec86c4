// SPDX-License-Identifier: BSL-1.0
// Results that no worker of this library writes: any bytes, results of tasks that
// nobody has, and one that comes twice. The cases: docs/faults.md.
#include "futures/process_pool.hpp"
#include "mp/serialization.hpp"

#include "faults/board_scribbling.hpp"
#include "faults/forged_value.hpp"
#include "process_pool/board_layout.hpp"
#include "process_pool/items.hpp"
#include "support/block_until_killed.hpp"
#include "support/catch.hpp"
#include "support/gate.hpp"
#include "support/pools.hpp"
#include "support/start_methods.hpp"

#include <boost/serialization/version.hpp>

#include <sched.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <tuple>
#include <variant>
#include <vector>

using namespace std::chrono_literals;
using futures::Future;
using futures::OnWorkerLoss;
using futures::ProcessPoolExecutor;
using futures::WorkerLost;
using futures::detail::BlockReference;
using futures::detail::BoardView;
using futures::detail::kind_of;
using futures::detail::MessagePlace;
using futures::detail::position_of;
using futures::detail::ResultItem;
using futures::detail::ResultKind;
using futures::detail::SlotKind;
using test::ForgedValue;
using test::Gate;
using test::inc;
using test::on;

namespace {

struct Leafy {
    std::string name;
    std::vector<Leafy> leaves;

    template <class Archive>
    void serialize(Archive& archive, unsigned) {
        archive& name& leaves;
    }
};

struct OfVersionTwo {
    int number = 0;
    std::optional<std::string> text;

    template <class Archive>
    void serialize(Archive& archive, unsigned version) {
        archive& number;
        if (version >= 2) {
            archive& text;
        }
    }
};

template <class T>
ForgedValue<T> give_forged(const std::string& bytes) {
    return {bytes, {}};
}

/// So many seeds of nearly that value: each future has a value or its own error.
template <class T>
void expect_no_harm(ProcessPoolExecutor& pool, const T& value) {
    std::vector<Future<ForgedValue<T>>> all;
    for (unsigned seed = 0; seed < test::scribble_seeds(60); ++seed) {
        all.push_back(pool.submit(give_forged<T>, test::nearly(value, seed)));
    }
    int errors = 0;
    for (const auto& one : all) {
        try {
            one.result(60s);
        } catch (const mp::SerializationError& error) {
            CHECK(error.phase == mp::SerializationPhase::decode_result);
            ++errors;
        }
    }
    CHECK(errors > 0);
    CHECK(pool.submit(inc, 1).result(60s) == 2);
}

enum class Forgery {
    twice,             ///< the task's own result, two times
    once_more,         ///< the result of the task before
    of_nobody,         ///< a position that no task has yet
    of_a_cancelled,    ///< the position behind, whose task was cancelled
    beyond_the_arena,  ///< a message that no arena has
    of_2_to_the_63,    ///< a message that no arena can have
    of_no_kind,
    of_no_place,
    longer_than_itself,
};

/// The sums are right: what tells accidents does not tell these.
void add_entry(const BoardView& board, ResultItem& item) {
    auto& written = board.control(0).results_written;
    const std::uint64_t entry = written.load();
    item.sum = sum_of(item, {0, entry}).value();
    board.ring(0)[entry & (board.slot_count() - 1)] = item;
    written.store(entry + 1);
}

/// As a worker writes that int.
ResultItem entry_of(std::uint64_t position, int value) {
    ResultItem item{};
    item.position = position;
    item.length = sizeof value;
    item.kind = ResultKind::value;
    item.place = MessagePlace::item;
    item.words = {static_cast<std::uint64_t>(value), 0};
    return item;
}

/// In the only worker of a pool.
int forge(Forgery forgery, const std::string& bell, const std::string& gate) {
    test::ring(bell);
    test::pass(gate);
    const BoardView board(test::mappings_of("mp-board").at(0).data());
    std::uint64_t position = 0;
    for (std::uint64_t i = 0; i < board.slot_count(); ++i) {
        const auto word = board.slots()[i].word.load();
        position = kind_of(word) == SlotKind::running ? position_of(word) : position;
    }
    ResultItem item = entry_of(position, 5);
    const auto in_arena = [&](BlockReference block) {
        item.place = MessagePlace::arena;
        item.length = 0;
        item.words = {block.offset, block.size};
    };
    switch (forgery) {
    case Forgery::twice:
        add_entry(board, item);
        break;
    case Forgery::once_more:
        item.position = position - 1;
        break;
    case Forgery::of_nobody:
        item.position = position + 3;
        break;
    case Forgery::of_a_cancelled:
        item.position = position + 1;
        break;
    case Forgery::beyond_the_arena:
        in_arena({std::uint64_t{1} << 50U, 100});
        break;
    case Forgery::of_2_to_the_63:
        in_arena({4096, std::uint64_t{1} << 63U});
        break;
    case Forgery::of_no_kind:
        item.kind = static_cast<ResultKind>(77);
        break;
    case Forgery::of_no_place:
        item.place = static_cast<MessagePlace>(77);
        break;
    case Forgery::longer_than_itself:
        item.length = 255;
        break;
    }
    add_entry(board, item);
    test::block_until_killed();
}

}  // namespace

BOOST_CLASS_VERSION(OfVersionTwo, 2)

TEST_CASE(
    "E2: results that are any bytes are an error or a value, and their worker goes on",
    "[faults]"
) {
    ProcessPoolExecutor pool(on(each_pool_start_method(), 2, OnWorkerLoss::isolate));
    expect_no_harm(pool, std::vector<std::string>{"a", "bcd", std::string(300, 'x')});
    expect_no_harm(
        pool, std::map<std::string, std::vector<int>>{{"a", {1}}, {"b", {}}}
    );
    expect_no_harm(
        pool, std::tuple{std::variant<int, std::string>("text"), std::optional(true), 7}
    );
    expect_no_harm(pool, Leafy{"root", {{"one", {}}, {"two", {{"three", {}}}}}});
    expect_no_harm(pool, std::vector<OfVersionTwo>{{1, "one"}, {2, {}}});
    const auto shared = std::make_shared<Leafy>();
    expect_no_harm(pool, std::vector<std::shared_ptr<Leafy>>{shared, nullptr, shared});
    expect_no_harm(pool, std::vector<std::uint64_t>(3'000, 1));
    CHECK(pool.statistics().workers_lost == 0);
}

TEST_CASE(
    "E5 E6: a result that comes twice or belongs to no task is not believed, and its "
    "worker is replaced",
    "[faults]"
) {
    const auto context = each_pool_start_method();
    const auto forgery = GENERATE(
        Forgery::twice,
        Forgery::once_more,
        Forgery::of_nobody,
        Forgery::of_a_cancelled,
        Forgery::beyond_the_arena,
        Forgery::of_2_to_the_63,
        Forgery::of_no_kind,
        Forgery::of_no_place,
        Forgery::longer_than_itself
    );
    CAPTURE(static_cast<int>(forgery));
    const Gate bell;
    const Gate gate;
    ProcessPoolExecutor pool(on(context, 1, OnWorkerLoss::isolate));
    const auto before = pool.submit(inc, 1);
    CHECK(before.result(60s) == 2);
    const auto forged = pool.submit(forge, forgery, bell.path(), gate.path());
    REQUIRE(bell.wait_for(1));
    const auto cancelled = pool.submit(inc, 2);
    CHECK(cancelled.cancel());
    gate.open(1);
    if (forgery == Forgery::twice) {
        CHECK(forged.result(60s) == 5);
    } else {
        CHECK_THROWS_AS(forged.result(60s), WorkerLost);
        CHECK_THROWS_WITH(
            forged.result(),
            test::ContainsSubstring("wrote over the memory that it shares")
        );
    }
    CHECK(pool.submit(inc, 3).result(60s) == 4);
    CHECK(before.result() == 2);
    CHECK(cancelled.cancelled());
    CHECK(pool.statistics().workers_lost == 1);
    CHECK(pool.statistics().concluded == pool.statistics().submitted);
}

TEST_CASE(
    "E5: the result of a task that was cancelled meanwhile is dropped", "[faults]"
) {
    const auto context = each_pool_start_method();
    ProcessPoolExecutor pool(on(context, 2, OnWorkerLoss::isolate));
    pool.bootup();
    int values = 0;
    int cancelled = 0;
    for (int i = 0; i < 100; ++i) {
        const auto raced = pool.submit(inc, i);
        for (int turn = 0; turn < i % 20; ++turn) {
            ::sched_yield();
        }
        const bool is_cancelled = raced.cancel(futures::running);
        try {
            const int value = raced.result(60s);
            CHECK(value == i + 1);
            CHECK_FALSE(is_cancelled);
            ++values;
        } catch (const futures::CancelledError&) {
            CHECK(is_cancelled);
            ++cancelled;
        }
    }
    CHECK(values + cancelled == 100);
    CHECK(pool.submit(inc, 3).result(60s) == 4);
    CHECK(pool.statistics().workers_lost == 0);
    CHECK(pool.statistics().concluded == pool.statistics().submitted);
}

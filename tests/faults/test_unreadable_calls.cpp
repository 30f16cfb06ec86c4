// SPDX-License-Identifier: BSL-1.0
// Calls that a worker cannot read: written over, any bytes, of code or of a class that
// it does not know. The cases: docs/faults.md.
#include "futures/process_pool.hpp"
#include "mp/errors.hpp"

#include "faults/board_scribbling.hpp"
#include "faults/forged_value.hpp"
#include "ported/pool_tasks.hpp"
#include "process_pool/board_layout.hpp"
#include "process_pool/items.hpp"
#include "support/catch.hpp"
#include "support/log_capture.hpp"
#include "support/pools.hpp"
#include "support/start_methods.hpp"
#include "support/temp_dir.hpp"

#include <boost/serialization/version.hpp>

#include <dlfcn.h>
#include <sched.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <map>
#include <stdexcept>
#include <string>
#include <vector>

using namespace std::chrono_literals;
using futures::BrokenProcessPool;
using futures::Future;
using futures::OnWorkerLoss;
using futures::ProcessPoolExecutor;
using futures::detail::BlockReference;
using futures::detail::BoardView;
using futures::detail::CallItem;
using futures::detail::kind_of;
using futures::detail::MessagePlace;
using futures::detail::position_of;
using futures::detail::Slot;
using futures::detail::slot_word;
using futures::detail::SlotKind;
using test::ForgedValue;
using test::inc;
using test::on;
using test::tasks::pid;

namespace {

enum class Spoiled {
    sum,
    length,
    place,
    attempt,
    block_beyond,  ///< with a right sum, as all below
    block_of_2_to_the_63,
    length_of_a_block,
    function,  ///< no code is there
};

void add_right_sum(CallItem& item, std::uint64_t position) {
    CallItem copy{};
    item.sum = futures::detail::copy_call(
        copy.bytes.data(),
        item.bytes.data(),
        item.length,
        item.place,
        position,
        item.about
    );
}

void put_block(CallItem& item, std::uint64_t position, BlockReference block) {
    std::memcpy(item.bytes.data(), &block, sizeof block);
    item.length = sizeof block;
    item.place = MessagePlace::arena;
    add_right_sum(item, position);
}

/// In the only worker of a pool: waits for the next call, and writes over it.
int spoil_next_call(Spoiled what) {
    const BoardView board(test::mappings_of("mp-board").at(0).data());
    std::uint64_t next = 0;
    for (std::uint64_t i = 0; i < board.slot_count(); ++i) {
        const auto word = board.slots()[i].word.load();
        next = kind_of(word) == SlotKind::running ? position_of(word) + 1 : next;
    }
    Slot& slot = board.slots()[next & (board.slot_count() - 1)];
    while (slot.word.load() != slot_word(next, SlotKind::ready)) {
        ::sched_yield();
    }
    CallItem& item = slot.item;
    switch (what) {
    case Spoiled::sum:
        item.sum ^= 1U;
        break;
    case Spoiled::length:
        item.length = 255;
        break;
    case Spoiled::place:
        item.place = static_cast<MessagePlace>(77);
        break;
    case Spoiled::attempt:
        item.about.attempt = 9;
        break;
    case Spoiled::block_beyond:
        put_block(item, next, {std::uint64_t{1} << 60U, 100});
        break;
    case Spoiled::block_of_2_to_the_63:
        put_block(item, next, {4096, std::uint64_t{1} << 63U});
        break;
    case Spoiled::length_of_a_block:
        put_block(item, next, {4096, 100});
        item.length = 3;
        add_right_sum(item, next);
        break;
    case Spoiled::function: {
        const std::uint64_t nowhere = std::uint64_t{1} << 40U;
        std::memcpy(item.bytes.data(), &nowhere, sizeof nowhere);
        add_right_sum(item, next);
        break;
    }
    }
    return 1;
}

template <class T>
std::size_t take_forged(const ForgedValue<T>& forged) {
    return forged.value.size();
}

/// Written as a class of a program that is newer than its reader.
struct OfNewerProgram {
    int number = 1;
    std::string added_since = "since version 3";

    template <class Archive>
    void serialize(Archive& archive, unsigned) {
        archive& number& added_since;
    }
};

struct OfOlderProgram {
    int number = 0;

    template <class Archive>
    void serialize(Archive& archive, unsigned) {
        archive& number;
    }
};

struct FromNewerProgram {
    template <class Archive>
    void serialize(Archive& archive, unsigned) {
        if constexpr (Archive::is_saving::value) {
            OfNewerProgram written;
            archive& written;
        } else {
            OfOlderProgram read;
            archive& read;
        }
    }
};

int take_newer(const FromNewerProgram&) {
    return 1;
}

FromNewerProgram give_newer() {
    return {};
}

template <class T>
void expect_version_told(const Future<T>& future, mp::SerializationPhase phase) {
    try {
        future.result(60s);
        FAIL_CHECK("no exception");
    } catch (const mp::SerializationError& error) {
        CHECK(error.phase == phase);
        CHECK_THAT(error.what(), test::ContainsSubstring("OfOlderProgram"));
        CHECK_THAT(error.what(), test::ContainsSubstring("version 3"));
    }
}

/// A library that this process alone has loaded; another file stands there since.
class LoadedHereAlone {
public:
    explicit LoadedHereAlone(const char* now_there) {
        const auto path = folder_.path() / "calls.so";
        std::filesystem::copy_file(CALLS_MODULE, path);
        handle_ = ::dlopen(path.c_str(), RTLD_NOW);
        std::filesystem::remove(path);
        if (now_there != nullptr) {
            std::filesystem::copy_file(now_there, path);
        }
    }

    ~LoadedHereAlone() { ::dlclose(handle_); }

    LoadedHereAlone(const LoadedHereAlone&) = delete;
    LoadedHereAlone& operator=(const LoadedHereAlone&) = delete;

    auto scale() const {
        return reinterpret_cast<int (*)(int)>(::dlsym(handle_, "scale"));
    }

private:
    const test::TempDir folder_;
    void* handle_ = nullptr;
};

}  // namespace

BOOST_CLASS_VERSION(OfNewerProgram, 3)
BOOST_CLASS_VERSION(OfOlderProgram, 2)

TEST_CASE(
    "B7: a call that was written over is not run, and the pool says so", "[faults]"
) {
    const test::LogCapture log;
    const auto context = each_pool_start_method();
    const auto what = GENERATE(
        Spoiled::sum,
        Spoiled::length,
        Spoiled::place,
        Spoiled::attempt,
        Spoiled::block_beyond,
        Spoiled::block_of_2_to_the_63,
        Spoiled::length_of_a_block
    );
    CAPTURE(static_cast<int>(what));
    ProcessPoolExecutor pool(on(context, 1, OnWorkerLoss::isolate));
    const auto spoils = pool.submit(spoil_next_call, what);
    const auto spoiled = pool.submit(inc, 1);
    CHECK(spoils.result(60s) == 1);
    CHECK_THROWS_AS(spoiled.result(60s), BrokenProcessPool);
    CHECK_THROWS_WITH(spoiled.result(), test::ContainsSubstring("wrote over its task"));
    pool.reset();
    CHECK(pool.submit(inc, 1).result(60s) == 2);
}

TEST_CASE(
    "B7: arguments that are any bytes fail their own future, however long they say to "
    "be",
    "[faults]"
) {
    ProcessPoolExecutor pool(on(each_pool_start_method(), 2, OnWorkerLoss::isolate));
    const std::string word(sizeof(std::uint64_t), '\0');
    std::string half_of_all = word;
    half_of_all.back() = '\x80';  // 2^63
    using Numbers = std::vector<std::uint64_t>;
    const auto huge =
        pool.submit(take_forged<Numbers>, ForgedValue<Numbers>{half_of_all});
    CHECK_THROWS_AS(huge.result(60s), mp::SerializationError);
    using Names = std::map<std::string, std::vector<std::string>>;
    const Names names{{"one", {"a", "b"}}, {"two", {}}, {std::string(200, 'x'), {"c"}}};
    std::vector<Future<std::size_t>> all;
    for (unsigned seed = 0; seed < test::scribble_seeds(100); ++seed) {
        all.push_back(pool.submit(
            take_forged<Names>, ForgedValue<Names>{test::nearly(names, seed), {}}
        ));
    }
    int errors = 0;
    for (const auto& one : all) {
        try {
            one.result(60s);
        } catch (const mp::SerializationError& error) {
            CHECK(error.phase == mp::SerializationPhase::decode_task);
            ++errors;
        }
    }
    CHECK(errors > 0);
    CHECK(pool.submit(inc, 1).result(60s) == 2);
    CHECK(pool.statistics().workers_lost == 0);
}

TEST_CASE("B8: a call of a function that its worker has not fails alone", "[faults]") {
    ProcessPoolExecutor pool(on(each_pool_start_method(), 1, OnWorkerLoss::isolate));
    const pid_t worker = pool.submit(pid).result(60s);
    const auto spoils = pool.submit(spoil_next_call, Spoiled::function);
    const auto spoiled = pool.submit(inc, 1);
    CHECK(spoils.result(60s) == 1);
    CHECK_THROWS_AS(spoiled.result(60s), mp::BinaryMismatch);
    CHECK(pool.submit(pid).result(60s) == worker);
}

TEST_CASE(
    "B8: a call of a library that is gone, or another one by now, fails alone",
    "[faults]"
) {
    ProcessPoolExecutor pool(on(each_pool_start_method(), 1, OnWorkerLoss::isolate));
    const pid_t worker = pool.submit(pid).result(60s);
    for (const char* const now_there :
         {static_cast<const char*>(nullptr), CALLS_MODULE_NEWER}) {
        const LoadedHereAlone library(now_there);
        REQUIRE(library.scale()(2) == 6);
        const auto future = pool.submit(library.scale(), 2);
        CHECK_THROWS_AS(future.result(60s), mp::BinaryMismatch);
        CHECK_THROWS_WITH(future.result(), test::ContainsSubstring("calls.so"));
    }
    CHECK(pool.submit(pid).result(60s) == worker);
}

TEST_CASE(
    "B10: an argument of a newer version of its class fails its own future", "[faults]"
) {
    ProcessPoolExecutor pool(on(each_pool_start_method(), 1, OnWorkerLoss::isolate));
    const pid_t worker = pool.submit(pid).result(60s);
    expect_version_told(
        pool.submit(take_newer, FromNewerProgram()), mp::SerializationPhase::decode_task
    );
    expect_version_told(pool.submit(give_newer), mp::SerializationPhase::decode_result);
    CHECK(pool.submit(pid).result(60s) == worker);
}

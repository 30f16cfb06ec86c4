// SPDX-License-Identifier: BSL-1.0
// worker_body: what a worker process is given, and what it does.
// Python:  concurrent.futures.process._process_worker.
#pragma once

#include "futures/detail/limited_call.hpp"
#include "mp/call.hpp"
#include "mp/detail/carried.hpp"

#include "data/spawning.hpp"
#include "os/spin.hpp"
#include "process_pool/board_layout.hpp"
#include "process_pool/worker_settings.hpp"

#include <boost/serialization/split_member.hpp>

#include <array>
#include <cstdint>
#include <string>

namespace futures::detail {

class WorkerOutput;

/// A descriptor that a child gets: the same number under fork, otherwise one handed
/// over with it. Does not own it.
class TravellingFd {
public:
    TravellingFd() = default;

    explicit TravellingFd(int fd) noexcept : fd_(fd) {}

    int get() const noexcept { return fd_; }

    template <class Archive>
    void save(Archive& archive, unsigned) const {
        const std::uint32_t index = mp::detail::hand_over(fd_, "a pool's worker");
        archive << index;
    }

    template <class Archive>
    void load(Archive& archive, unsigned) {
        std::uint32_t index = 0;
        archive >> index;
        fd_ = mp::detail::take_over(index).release();
    }

    BOOST_SERIALIZATION_SPLIT_MEMBER()

private:
    int fd_ = -1;
};

struct WorkerStart {
    TravellingFd board;
    TravellingFd call_arena;
    TravellingFd result_arena;
    TravellingFd doorbell;
    std::uint64_t slots = 0;    ///< of the board
    std::uint32_t workers = 0;  ///< that it has places for
    std::uint32_t index = 0;
    std::uint64_t max_tasks = 0;
    bool captures_output = false;
    bool captures_crashes = true;
    std::array<TravellingFd, 2> output;  ///< stdout and stderr, if they are captured
    WorkerOutput* parents_output = nullptr;  ///< under fork, a copy of it; if captured
    std::uint64_t max_memory = 0;
    LimitNumbers limits;
    mp::detail::SpinPolicy policy{};
    mp::Call shared;
    mp::Call initializer;
    mp::Call finalizer;
    WorkerSettings settings;
    std::int64_t idle_nanoseconds = 0;  ///< 0: for ever
    bool keeps_orphans = false;
    bool tells_of_end = false;  ///< rings when its finalizer begins
    std::uint32_t depth = 1;    ///< of pools inside each other
    bool limits_tasks = false;  ///< each, if it says no limit itself

    template <class Archive>
    void serialize(Archive& archive, unsigned) {
        archive& board;
        archive& call_arena;
        archive& result_arena;
        archive& doorbell;
        archive& slots;
        archive& workers;
        archive& index;
        archive& max_tasks;
        archive& captures_output;
        archive& captures_crashes;
        if (captures_output) {
            archive& output[0];
            archive& output[1];
        }
        archive& max_memory;
        archive& limits;
        archive& policy.pauses;
        archive& policy.yields;
        archive& shared;
        archive& initializer;
        archive& finalizer;
        archive& settings;
        archive& idle_nanoseconds;
        archive& keeps_orphans;
        archive& tells_of_end;
        archive& depth;
        archive& limits_tasks;
    }
};

/// What processes share of both, in the order by which tasks name it.
mp::detail::Carried given_to_workers(
    const mp::Call& shared, const mp::Call& initializer, const mp::Call& finalizer
);

/// What the parent is to log of a finalizer that threw: printable, and short.
std::string text_of_last_step(const WorkerControl& control);

/// The target of a worker's process.
void run_worker(const WorkerStart& start);

}  // namespace futures::detail

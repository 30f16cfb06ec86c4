// SPDX-License-Identifier: BSL-1.0
// Runner: has workers hash what a source gives, and hands the results to a sink in the
// source's order.
// Threads: one, but end_workers() may be called by another.
#pragma once

#include "futures/thread_pool.hpp"
#include "futures/wait.hpp"

#include "census.hpp"
#include "console.hpp"
#include "item.hpp"
#include "meter.hpp"
#include "progress.hpp"
#include "workers.hpp"

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace mpsum {

class Runner {
public:
    /// `in_ranks`: the workers are those of run_in_ranks().
    Runner(WorkerOptions options, bool in_ranks, Console& console);

    /// Hashes everything that `source` gives. May be called again.
    ///
    /// A worker that dies costs nothing: its files are hashed again, each alone, with a
    /// warning; a file that loses its worker twice is reported as failed, and so is one
    /// that takes longer, or more memory, than the options allow. Memory is
    /// bounded: a source far ahead of its slowest file is left waiting.
    /// Throws: futures::BrokenExecutor when no worker can be started;
    /// std::system_error when standard output fails. The runner is then of no use
    /// any more.
    void run(Source& source, Sink& sink, Census census);

    /// As Workers::end_all().
    void end_workers(int status) noexcept;

private:
    using Number = std::uint64_t;  // items are numbered in the order of the source

    struct Slot {
        Item item;
        FileResult result;
        int losses = 0;
        bool done = false;
    };

    struct Task {
        Workers::Results future;
        std::vector<Number> members;
    };

    void start_tasks(Source& source);
    bool start_batch(Source& source);
    const Item* peek(Source& source);
    Number add_slot();
    void submit(Origin origin, std::vector<Number> members);
    void submit_stdin(Number member);
    void wait_for_one(Census& census);
    void collect();
    void take_results(const Task& task);
    void take_loss(const Task& task, const futures::CrashReport& report);
    void take_failure(const Task& task, const std::string& what);
    void set_done(Number number, FileResult result);
    void refuse(Number number, std::string why);
    void emit(Sink& sink);

    Slot& slot(Number number) {
        return slots_[static_cast<std::size_t>(number - first_)];
    }

    // Set once in the constructor.
    WorkerOptions options_;
    Console& console_;
    // With a progress bar. No other machine reaches it: that of ranks moves when a file
    // is done.
    std::unique_ptr<Meter> meter_;
    std::unique_ptr<Workers> workers_;
    std::size_t max_tasks_;

    // Reads standard input beside the workers; made when an item asks for that.
    std::unique_ptr<futures::ThreadPoolExecutor> stdin_reader_;

    std::optional<Item> peeked_;
    bool exhausted_ = false;
    std::deque<Slot> slots_;  // from the first item that was not handed out
    Number first_ = 0;
    std::vector<Task> tasks_;
    std::deque<Number> again_;  // to be hashed alone
    std::uint64_t submitted_ = 0;
    Progress progress_;
};

}  // namespace mpsum

// SPDX-License-Identifier: BSL-1.0
// Server: what a rank does for the master: it runs the tasks of all executors, one
// after the other, in the order in which they came.
// Threads: one.
#pragma once

#include "mp/timeout.hpp"

#include "mpi/bell.hpp"
#include "mpi/call_runner.hpp"
#include "mpi/isolated_calls.hpp"
#include "mpi/pacing.hpp"
#include "mpi/rank_info.hpp"
#include "mpi/served_comm.hpp"
#include "mpi/transport.hpp"

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace futures::detail {

class Server final : private FrameSink {
public:
    struct Waiting {
        mp::Timeout spin;
        mp::Timeout backoff;
    };

    /// `bell`: what rings when a frame comes, where something does.
    Server(
        Transport& transport,
        std::shared_ptr<Bell> bell,
        ServedComms& comms,
        const Waiting& waiting,
        const RankInfo& rank,
        std::size_t worker
    );

    /// Until the master says that it is over. Throws MPIError.
    void serve();

private:
    /// One executor here.
    struct Executor {
        OpenExecutor open{};
        bool has_failed = false;
        std::vector<std::byte> failure;  ///< what its initializer threw
        std::unique_ptr<IsolatedCalls> isolated;
    };

    /// An answer that stands in a worker's memory and is being sent.
    struct Answering {
        Ticket ticket;
        std::uint32_t executor;
        RelayedTask* task;
    };

    void take(
        std::size_t peer, const MessageHead& head, std::span<const std::byte> payload
    ) override;
    void take_long(
        std::size_t peer, const MessageHead& head, FrameBytes bytes, std::size_t offset
    ) override;
    void take_none(std::size_t peer, const MessageHead& head) override;
    void take_loss(std::size_t peer) override;

    void handle(const MessageHead& head, std::span<const std::byte> payload);
    void open(const MessageHead& head, std::span<const std::byte> payload);
    void refuse(const MessageHead& head, Executor& executor, FrameKind kind);
    void call(const MessageHead& head, std::span<const std::byte> message);
    void run_here(
        const Executor& executor,
        const MessageHead& head,
        std::span<const std::byte> message
    );
    void close(const MessageHead& head);
    void answer(
        FrameKind kind,
        const MessageHead& question,
        std::span<const std::byte> payload,
        std::int64_t nanoseconds = 0
    );
    void answer_current(const MessageHead& question);
    void answer_no_memory(const MessageHead& question);
    void answer_with(std::uint32_t number, Executor& executor, RelayedTask& task);
    bool answer_ended();
    bool settle_answers();
    void finish_answers();

    Transport& transport_;
    const std::shared_ptr<Bell> bell_;
    ServedComms& comms_;
    Pacing pacing_;
    const int neighbours_;
    CallRunner runner_;
    mp::detail::ByteWriter out_;
    std::map<std::uint32_t, Executor> executors_;
    std::deque<Answering> answering_;
    bool is_over_ = false;
};

}  // namespace futures::detail

// SPDX-License-Identifier: BSL-1.0
// LocalTransport: the two ends of a job of one rank, whose only worker is a thread.
// Threads: each end its own; the line between them has a lock.
#pragma once

#include "mp/thread_safety.hpp"

#include "mpi/bell.hpp"
#include "mpi/transport.hpp"

#include <deque>
#include <memory>
#include <utility>

namespace futures::detail {

class LocalTransport final : public Transport {
public:
    /// Two ends. What comes to the first one rings `first`, and so on.
    static std::pair<std::unique_ptr<LocalTransport>, std::unique_ptr<LocalTransport>>
    make_pair(std::shared_ptr<Bell> first, std::shared_ptr<Bell> second);

    std::size_t peers() const noexcept override { return 1; }

    Ticket send(std::size_t peer, MessageHead head, std::span<const std::byte> payload)
        override;

    bool is_sent(Ticket /*ticket*/) override { return true; }

    bool receive(FrameSink& sink) override;

    bool is_receiving() const noexcept override { return false; }

    bool is_shared() const noexcept override { return true; }

    bool is_polled() const noexcept override { return false; }

private:
    struct Arrived {
        MessageHead head;
        FrameBytes bytes;
    };

    /// What goes one way.
    struct Line {
        explicit Line(std::shared_ptr<Bell> rung) noexcept : bell(std::move(rung)) {}

        const std::shared_ptr<Bell> bell;
        mp::detail::Mutex mutex;
        std::deque<Arrived> frames MP_GUARDED_BY(mutex);
    };

    LocalTransport(std::shared_ptr<Line> in, std::shared_ptr<Line> out) noexcept
        : in_(std::move(in)), out_(std::move(out)) {}

    std::deque<Arrived> arrived_;  ///< that have been taken out of the line
    const std::shared_ptr<Line> in_;
    const std::shared_ptr<Line> out_;
};

}  // namespace futures::detail

// SPDX-License-Identifier: BSL-1.0
// Descriptor: our end of a pipe, and the wait until it is ready.
// Threads: its loop's.
#pragma once

#include "mp/fd.hpp"

#include "concurrency/coroutine.hpp"
#include "concurrency/loop/loop.hpp"

#include <boost/asio/posix/stream_descriptor.hpp>

#include <memory>
#include <optional>

namespace concurrency::detail {

/// Closed by the end of its loop, if it is not before.
class Descriptor final : private LoopEnd {
public:
    using Direction = boost::asio::posix::stream_descriptor::wait_type;

    /// Waited for in this loop; reading and writing do not block. Throws
    /// std::system_error.
    explicit Descriptor(mp::UniqueFd fd);

    Descriptor(const Descriptor&) = delete;
    Descriptor& operator=(const Descriptor&) = delete;
    ~Descriptor() = default;

    /// Of the open end.
    int fd() { return descriptor_->native_handle(); }

    /// Throws ClosedResourceError, Cancelled, and RuntimeError in another loop.
    void check() const;

    /// Waits until it is ready, or closed, which is ClosedResourceError. Throws
    /// Cancelled.
    static Task<> ready(std::shared_ptr<Descriptor> self, Direction direction);

    void close() noexcept;

    /// While a task uses it; BusyResourceError for another one.
    class Use {
    public:
        explicit Use(Descriptor& descriptor);
        Use(const Use&) = delete;
        Use& operator=(const Use&) = delete;

        ~Use() { descriptor_.in_use_ = false; }

    private:
        Descriptor& descriptor_;
    };

private:
    void loop_ended() noexcept override;

    Loop& loop_;
    std::optional<boost::asio::posix::stream_descriptor> descriptor_;
    bool closed_ = false;
    bool in_use_ = false;
};

}  // namespace concurrency::detail

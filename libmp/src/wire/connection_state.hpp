// SPDX-License-Identifier: BSL-1.0
// connection_state: what all copies of a Connection share, and being inside a call.
#pragma once

#include "mp/connection.hpp"
#include "mp/detail/creator.hpp"

#include "os/check.hpp"
#include "os/socket.hpp"
#include "wire/binding.hpp"
#include "wire/framing.hpp"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <system_error>
#include <utility>

namespace mp {

// The limit of an end that has none.
inline constexpr std::uint64_t any_length = std::numeric_limits<std::uint64_t>::max();

// The descriptor and the calls that use it. `word_` holds, from the top: the fork depth
// at which the rest was counted, whether it is closed, how many calls are inside. A
// forked child starts counting anew: the parent's calls never return there.
class Connection::State {
public:
    State(UniqueFd fd, Direction allowed, std::uint64_t longest, std::uint64_t unread)
        : fd_(std::move(fd)),
          unix_(os::is_unix_socket(fd_.get())),
          direction_(allowed),
          longest_(longest),
          unread_(unread) {}

    ~State() = default;
    State(const State&) = delete;
    State& operator=(const State&) = delete;

    int fd() const noexcept { return fd_.get(); }

    bool carries_fds() const noexcept { return unix_; }

    Direction direction() const noexcept { return direction_; }

    bool is_closed() const noexcept { return (word_ & closed_bit) != 0; }

    bool enter() noexcept {
        std::uint64_t now = word_;
        do {
            if ((now & closed_bit) != 0) {
                return false;
            }
        } while (!word_.compare_exchange_weak(now, counted_here(now) + 1));
        return true;
    }

    void leave() noexcept {
        if ((word_.fetch_sub(1) & (closed_bit | count_mask)) == (closed_bit | 1)) {
            fd_.reset();
        }
    }

    void close() noexcept {
        std::uint64_t now = word_;
        do {
            if ((now & closed_bit) != 0) {
                return;
            }
        } while (!word_.compare_exchange_weak(now, counted_here(now) | closed_bit));
        if ((counted_here(now) & count_mask) == 0) {
            fd_.reset();
        }
    }

    bool allows(Direction wanted) const noexcept {
        return (static_cast<unsigned>(direction_.load()) & static_cast<unsigned>(wanted)
               ) != 0;
    }

    // What comes next on the wire is not the start of a message.
    void stop_reading() noexcept {
        if (allows(Direction::write)) {
            direction_ = Direction::write;
        } else {
            close();
        }
    }

    // The longest message that is received.
    std::uint64_t longest() const noexcept { return longest_; }

    void set_longest(std::uint64_t size) noexcept { longest_ = size; }

    // How much of a message that was refused is still to be passed over.
    std::uint64_t unread() const noexcept { return unread_; }

    void set_unread(std::uint64_t size) noexcept { unread_ = size; }

    // What the first half of a handshake leaves for the second, where they are called
    // one by one.
    void keep_binding(std::unique_ptr<detail::Binding> binding) noexcept {
        binding_ = std::move(binding);
    }

    std::unique_ptr<detail::Binding> take_binding() noexcept {
        return std::move(binding_);
    }

private:
    static constexpr std::uint64_t process_mask = std::uint64_t{0xffffffff} << 32;
    static constexpr std::uint64_t count_mask = 0x7fffffff;
    static constexpr std::uint64_t closed_bit = 0x80000000;

    static std::uint64_t counted_here(std::uint64_t word) noexcept {
        // The lower half of the token grows from parent to child.
        const std::uint64_t here = detail::process_token() << 32;
        return (word & process_mask) == here ? word : here | (word & closed_bit);
    }

    UniqueFd fd_;
    // Set once in the constructor.
    bool unix_;
    // Belongs to the thread that shakes hands.
    std::unique_ptr<detail::Binding> binding_;
    // Own synchronisation. The direction loses `read` when the stream is out of step.
    std::atomic<Direction> direction_;
    std::atomic<std::uint64_t> longest_;
    std::atomic<std::uint64_t> unread_;
    std::atomic<std::uint64_t> word_ = counted_here(0);
};

// A call inside: the descriptor stays open until it returns.
class Connection::Use {
public:
    Use(const Connection& connection, Direction wanted) : state_(connection.state_) {
        if (!state_ || !state_->enter()) {
            os::throw_error(EBADF, "the connection is closed");
        }
        if (!state_->allows(wanted)) {
            state_->leave();
            os::throw_error(
                EBADF,
                wanted == Direction::read ? "the connection is write-only"
                                          : "the connection is read-only"
            );
        }
    }

    ~Use() { state_->leave(); }

    Use(const Use&) = delete;
    Use& operator=(const Use&) = delete;

    int fd() const noexcept { return state_->fd(); }

    State& state() const noexcept { return *state_; }

    // The size of the next message that may have so many bytes. Throws
    // std::system_error(EMSGSIZE) for a longer one, which is passed over later: to do
    // it now could take for ever.
    std::size_t receive_size(std::optional<std::size_t> longest = std::nullopt) const {
        std::size_t size = 0;
        try {
            pass_over_refused(Deadline(forever));
            size = detail::receive_frame_size(fd());
        } catch (const std::system_error&) {
            state_->stop_reading();
            throw;
        }
        const std::uint64_t allowed =
            std::min<std::uint64_t>(state_->longest(), longest.value_or(any_length));
        if (size > allowed) {
            state_->set_unread(size);
            pass_over_what_came();
            os::throw_error(
                EMSGSIZE,
                ("bad message length: " + std::to_string(size) + " bytes, " +
                 (longest ? "allowed are " : ".max_message_size allows ") +
                 std::to_string(allowed))
                    .c_str()
            );
        }
        return size;
    }

    // Takes the rest of a message that was refused. Throws TimeoutError, also when more
    // and more comes: the next call goes on; and std::system_error.
    void pass_over_refused(const Deadline& deadline) const {
        if (state_->unread() != 0) {
            pass_over(deadline);
        }
    }

    // Runs `receive`, which must take a whole message from the wire.
    template <class Receive>
    auto in_step(Receive receive) const {
        try {
            return receive();
        } catch (...) {
            state_->stop_reading();
            throw;
        }
    }

private:
    void pass_over(const Deadline& deadline) const;
    void pass_over_what_came() const;

    // Keeps the state while another thread assigns to the handle.
    const std::shared_ptr<State> state_;
};

}  // namespace mp

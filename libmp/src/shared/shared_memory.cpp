// SPDX-License-Identifier: BSL-1.0
#include "mp/shared_memory.hpp"

#include "mp/detail/shm.hpp"
#include "mp/detail/travelling_fd.hpp"
#include "mp/errors.hpp"

#include "data/spawning.hpp"
#include "os/check.hpp"
#include "os/failpoint.hpp"
#include "os/named_memory.hpp"
#include "os/random.hpp"
#include "process/resource_tracker_client.hpp"
#include "util/hex.hpp"

#include <array>
#include <cerrno>
#include <stdexcept>
#include <string>
#include <system_error>
#include <utility>

namespace mp {

namespace {

std::size_t size_to_map(int fd, const std::string& name) {
    const std::size_t size = os::memory_size(fd);
    if (size == 0) {
        throw std::invalid_argument(
            "shared memory '" + name +
            "' has no size: its maker is not done yet, or was killed before it was"
        );
    }
    return size;
}

[[noreturn]] void throw_truncated(const std::string& name, std::size_t was) {
    throw std::invalid_argument(
        "shared memory '" + name + "' had " + std::to_string(was) +
        " bytes and has less now: somebody has truncated it"
    );
}

}  // namespace

struct SharedMemory::State {
    // The descriptor holds the lock by now: a maker is done, a sweeper is away. Who
    // owns the file can still change its size, so it is looked at again when it is
    // mapped.
    State(std::string known_as, UniqueFd fd)
        : name(std::move(known_as)),
          id(os::file_id(fd.get())),
          size(size_to_map(fd.get(), name)),
          memory(std::make_shared<detail::Segment>(std::move(fd), size)) {
        if (os::memory_size(memory->fileno()) < size) {
            throw_truncated(name, size);
        }
    }

    // Set once, before the handle is the caller's.
    std::string name;
    os::FileId id;
    std::size_t size = 0;
    // Does a tracker know of it, or may one?
    bool tracked = true;
    // Until close().
    std::shared_ptr<detail::Segment> memory;
};

namespace {

std::string random_name() {
    std::array<std::byte, 4> random{};
    os::random_bytes(random);
    return "psm_" + detail::to_hex(random);
}

// The tracker knows of it before it has the name: there is no moment to be killed at.
void name_tracked(int fd, const os::FileId& id, const std::string& name) {
    MP_FAILPOINT("memory: made");
    detail::track_memory(name, id);
    MP_FAILPOINT("memory: tracked");
    try {
        os::name_memory(fd, name);
        MP_FAILPOINT("memory: named");
    } catch (...) {
        detail::forget_memory(name, id);
        throw;
    }
}

// Returns the name that it got.
std::string
give_name(int fd, const os::FileId& id, const std::string& wanted, bool track) {
    for (;;) {
        std::string name =
            wanted.empty() ? random_name() : os::checked_memory_name(wanted);
        try {
            if (track) {
                name_tracked(fd, id, name);
            } else {
                os::name_memory(fd, name);
            }
            return name;
        } catch (const std::system_error& error) {
            if (error.code().value() != EEXIST || !wanted.empty()) {
                throw;
            }
        }
    }
}

}  // namespace

SharedMemory::SharedMemory(const SharedMemoryOptions& options) {
    if (options.create) {
        *this = SharedMemory(options, [](std::span<std::byte>) {});
        return;
    }
    if (options.name.empty()) {
        throw std::invalid_argument("to attach to shared memory takes its name");
    }
    const std::string name = os::checked_memory_name(options.name);
    state_ = std::make_shared<State>(
        name,
        os::open_memory(
            name, options.any_user ? os::Owner::anybody : os::Owner::us_or_root
        )
    );
}

SharedMemory::SharedMemory(
    const SharedMemoryOptions& options,
    const std::function<void(std::span<std::byte>)>& fill
) {
    if (!options.create || options.size.get() == 0) {
        throw std::invalid_argument("new shared memory needs a size of at least 1");
    }
    // Mapped and filled before it has a name: should that fail, nothing is left.
    auto state =
        std::make_shared<State>(options.name, os::make_memory(options.size.get()));
    fill({state->memory->data(), state->size});
    state->tracked = options.track;
    state->name =
        give_name(state->memory->fileno(), state->id, options.name, options.track);
    state_ = std::move(state);
}

const std::string& SharedMemory::name() const {
    static const std::string& none = *new std::string;
    return state_ ? state_->name : none;
}

std::size_t SharedMemory::size() const noexcept {
    return state_ ? state_->size : 0;
}

std::span<std::byte> SharedMemory::buf() const noexcept {
    if (!*this) {
        return {};
    }
    return {state_->memory->data(), state_->memory->size()};
}

std::shared_ptr<std::byte[]> SharedMemory::view() const noexcept {
    if (!*this) {
        return nullptr;
    }
    return {state_->memory, state_->memory->data()};
}

void SharedMemory::close() noexcept {
    if (state_) {
        state_->memory.reset();
    }
}

void SharedMemory::unlink() {
    if (!state_) {
        throw StateError("this SharedMemory never had a segment to unlink");
    }
    try {
        os::remove_memory(state_->name, state_->id);
    } catch (const std::system_error& error) {
        // Made before this process gave up its privileges, perhaps: the tracker has
        // them still.
        const bool forbidden = error.code() == std::errc::operation_not_permitted ||
                               error.code() == std::errc::permission_denied;
        if (!forbidden || !detail::remove_tracked_memory(state_->name, state_->id)) {
            throw;
        }
    }
    MP_FAILPOINT("memory: unlinked");
    if (state_->tracked) {
        detail::forget_memory(state_->name, state_->id);
    }
}

SharedMemory::operator bool() const noexcept {
    return state_ && state_->memory;
}

std::tuple<std::string, std::uint64_t, std::int64_t> SharedMemory::hand_over() const {
    if (!state_) {
        throw StateError("a SharedMemory that was never opened cannot travel");
    }
    std::int64_t travelling = -1;
    if (state_->memory && detail::can_hand_over(state_)) {
        travelling =
            detail::hand_over(state_->memory->fileno(), "a SharedMemory", state_);
    }
    return {state_->name, state_->size, travelling};
}

void SharedMemory::take_over(
    std::string name, std::uint64_t bytes, std::int64_t travelling
) {
    if (travelling < 0) {
        *this = SharedMemory({.name = std::move(name)});
    } else {
        state_ = std::make_shared<State>(
            os::checked_memory_name(name),
            detail::load_fd(static_cast<std::uint32_t>(travelling))
        );
    }
    if (state_->size < bytes) {
        const auto truncated = std::exchange(state_, nullptr);
        throw_truncated(truncated->name, bytes);
    }
}

}  // namespace mp

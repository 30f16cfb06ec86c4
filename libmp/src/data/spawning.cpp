// SPDX-License-Identifier: BSL-1.0
// The scope of the thread that starts a child, and what a child has received.
#include "data/spawning.hpp"

#include "mp/errors.hpp"

#include <string>
#include <utility>

namespace mp::detail {
namespace {

thread_local SpawningScope* current_scope = nullptr;

// Filled once, by the thread in which the child begins, before it runs user code.
FdList& received_fds() {
    static auto* const fds = new FdList;
    return *fds;
}

SpawningScope& scope_for(const char* what) {
    if (current_scope == nullptr) {
        throw StateError(
            std::string(what) +
            " is shared between processes only by passing it to a process "
            "that is being started"
        );
    }
    return *current_scope;
}

}  // namespace

SpawningScope::SpawningScope() : outer_(std::exchange(current_scope, this)) {}

SpawningScope::~SpawningScope() {
    current_scope = outer_;
}

std::uint32_t SpawningScope::add_once(const void* key, int fd) {
    for (const auto& [known, index] : keys_) {
        if (known == key) {
            return index;
        }
    }
    keys_.emplace_back(key, add(UniqueFd::duplicate_of(fd)));
    return keys_.back().second;
}

bool spawning() noexcept {
    return current_scope != nullptr;
}

std::uint32_t hand_over(int fd, const char* what) {
    return scope_for(what).add(UniqueFd::duplicate_of(fd));
}

std::uint32_t hand_over_once(const void* key, int fd, const char* what) {
    return scope_for(what).add_once(key, fd);
}

UniqueFd take_over(std::uint32_t index) {
    FdList& fds = received_fds();
    UniqueFd fd = fds.take(index);
    if (!fd) {
        throw SerializationError(
            SerializationPhase::decode,
            "descriptor " + std::to_string(index) + " of " +
                std::to_string(fds.size()) +
                " did not travel with this process, or was taken before"
        );
    }
    return fd;
}

void set_received_fds(std::vector<UniqueFd> fds) {
    received_fds() = FdList(std::move(fds));
}

}  // namespace mp::detail

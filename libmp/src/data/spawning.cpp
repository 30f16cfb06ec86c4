// SPDX-License-Identifier: BSL-1.0
#include "data/spawning.hpp"

#include "mp/errors.hpp"

#include "os/check.hpp"

#include <fcntl.h>

#include <string>
#include <utility>

namespace mp::detail {
namespace {

thread_local SpawningScope* current_scope = nullptr;

// Filled once, by the thread that starts the child's life, before it runs user code.
std::vector<UniqueFd>& received_fds() {
    static auto* const fds = new std::vector<UniqueFd>;
    return *fds;
}

SpawningScope& scope_for(const char* what) {
    if (current_scope == nullptr) {
        throw StateError(
            std::string(what) + " is shared between processes only by passing it to a "
                                "process that is being "
                                "started"
        );
    }
    return *current_scope;
}

}  // namespace

SpawningScope::SpawningScope() : outer_(std::exchange(current_scope, this)) {}

SpawningScope::~SpawningScope() {
    current_scope = outer_;
}

std::uint32_t SpawningScope::add(UniqueFd fd) {
    fds_.push_back(std::move(fd));
    return static_cast<std::uint32_t>(fds_.size() - 1);
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

std::vector<UniqueFd> SpawningScope::take() noexcept {
    return std::move(fds_);
}

bool spawning() noexcept {
    return current_scope != nullptr;
}

std::uint32_t hand_over(int fd, const char* what) {
    return scope_for(what).add(
        UniqueFd(os::check(::fcntl(fd, F_DUPFD_CLOEXEC, 0), "fcntl(F_DUPFD_CLOEXEC)"))
    );
}

std::uint32_t hand_over_once(const void* key, int fd, const char* what) {
    return scope_for(what).add_once(key, fd);
}

UniqueFd take_over(std::uint32_t index) {
    auto& fds = received_fds();
    if (index >= fds.size() || !fds[index]) {
        throw SerializationError(
            SerializationPhase::decode,
            "descriptor " + std::to_string(index) + " of " +
                std::to_string(fds.size()) +
                " did not travel with this process, or was taken before"
        );
    }
    return std::move(fds[index]);
}

void set_received_fds(std::vector<UniqueFd> fds) {
    received_fds() = std::move(fds);
}

}  // namespace mp::detail

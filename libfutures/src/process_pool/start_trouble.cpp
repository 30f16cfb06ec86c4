// SPDX-License-Identifier: BSL-1.0
#include "process_pool/start_trouble.hpp"

#include "mp/detail/nested_exception.hpp"
#include "mp/errors.hpp"

#include "data/ended_early.hpp"

#include <signal.h>

#include <algorithm>
#include <array>
#include <new>
#include <system_error>

namespace futures::detail {

namespace {

/// One that ends by itself does so again: nine of them are enough. Who kills processes
/// may have to be survived for longer.
constexpr std::uint32_t weight_of_end = 8;
constexpr std::uint32_t weight_in_initializer = 4;
constexpr std::uint32_t most_weight = 64;

constexpr std::uint32_t most_shortages = 4;
constexpr std::chrono::milliseconds first_wait{20};

bool is_shortage(const std::error_code& code) {
    constexpr std::array<std::errc, 6> kinds{
        std::errc::resource_unavailable_try_again,
        std::errc::not_enough_memory,
        std::errc::too_many_files_open,
        std::errc::too_many_files_open_in_system,
        std::errc::interrupted,
        std::errc::no_buffer_space};
    return std::any_of(kinds.begin(), kinds.end(), [&](std::errc kind) {
        return code == kind;
    });
}

}  // namespace

StartFailure StartTrouble::kind_of(const std::exception_ptr& failure) noexcept {
    try {
        std::rethrow_exception(failure);
    } catch (const mp::detail::EndedEarly&) {
        return StartFailure::ended;
    } catch (const std::bad_alloc&) {
        return StartFailure::shortage;
    } catch (const std::system_error& error) {
        return is_shortage(error.code()) ? StartFailure::shortage
                                         : StartFailure::refused;
    } catch (const mp::SpawnError& error) {
        if (error.stage == mp::SpawnStage::forkserver) {
            return StartFailure::shortage;  // its text says why; not from here
        }
        const auto cause = mp::detail::current_cause();
        return cause ? kind_of(cause) : StartFailure::refused;
    } catch (...) {
        return StartFailure::refused;
    }
}

bool StartTrouble::was_killed(std::optional<int> exitcode) noexcept {
    return !exitcode || *exitcode == -SIGKILL || *exitcode == -SIGTERM;
}

bool StartTrouble::was_killed(const std::exception_ptr& failure) noexcept {
    try {
        std::rethrow_exception(failure);
    } catch (const mp::detail::EndedEarly& error) {
        return was_killed(error.exitcode);
    } catch (...) {
        return false;
    }
}

bool StartTrouble::ended(End how) noexcept {
    ++deaths_;
    weight_ += how == End::killed      ? 1
               : how == End::by_itself ? weight_of_end
                                       : weight_in_initializer;
    return weight_ <= most_weight;
}

std::optional<StartTrouble::Clock::time_point>
StartTrouble::shortage(Clock::time_point now) noexcept {
    if (shortages_ >= most_shortages) {
        return std::nullopt;
    }
    return now + first_wait * (1U << shortages_++);
}

}  // namespace futures::detail

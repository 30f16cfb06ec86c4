// SPDX-License-Identifier: BSL-1.0
// Affinity: on which processors the workers of a process pool run.
// Python:  none; mpire's cpu_ids.
// Differs: nothing to differ from.
// Threads: any; they are values.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <utility>
#include <vector>

namespace futures {

/// The processors of one worker, by the numbers that the system gives them.
class CpuSet {
public:
    /// One of them.
    CpuSet(int cpu) : cpus_{cpu} {}  // NOLINT(google-explicit-constructor): a number

    /// Any of these.
    CpuSet(std::initializer_list<int> cpus) : cpus_(cpus) {}

    /// The same.
    // NOLINTNEXTLINE(google-explicit-constructor): a list of numbers
    CpuSet(std::vector<int> cpus) : cpus_(std::move(cpus)) {}

    /// As given.
    const std::vector<int>& cpus() const noexcept { return cpus_; }

private:
    std::vector<int> cpus_;
};

/// `{0, 1}`: the first worker runs on processor 0, the second on 1. `{{0, 1}, {2, 3}}`:
/// each on two. `{{0, 1}}`: all on the same. One set for all, or one for each worker.
class Affinity {
public:
    /// The type of `one_cpu_each`.
    struct OneCpuEach {};

    /// The workers are dealt out over the processors that this process may use.
    static constexpr OneCpuEach one_cpu_each{};

    /// As this process.
    Affinity() = default;

    // NOLINTNEXTLINE(google-explicit-constructor): `.affinity = one_cpu_each`
    Affinity(OneCpuEach) : kind_(Kind::one_each) {}

    /// One set for all, or one for each worker.
    Affinity(std::initializer_list<CpuSet> sets) : kind_(Kind::listed), sets_(sets) {}

    // NOLINTNEXTLINE(google-explicit-constructor): a list of sets
    Affinity(std::vector<CpuSet> sets) : kind_(Kind::listed), sets_(std::move(sets)) {}

    /// Whether it says anything.
    bool is_set() const noexcept { return kind_ != Kind::inherited; }

    /// For pools: throws std::invalid_argument for a list of another length than 1 and
    /// `workers`, and for a processor that this process may not use.
    void check(std::uint32_t workers) const;

    /// For pools: the processors of the worker with this index.
    std::vector<int> of_worker(std::uint32_t index) const;

private:
    enum class Kind : std::uint8_t { inherited, one_each, listed };

    Kind kind_ = Kind::inherited;
    std::vector<CpuSet> sets_;
};

}  // namespace futures

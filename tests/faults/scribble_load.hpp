// SPDX-License-Identifier: BSL-1.0
// Load: tasks of each size for a pool whose memory is written over, and what became of
// them.
#pragma once

#include "futures/process_pool.hpp"

#include "support/catch.hpp"
#include "support/patience.hpp"

#include <chrono>
#include <string>
#include <utility>
#include <vector>

namespace test {

constexpr auto soon = patience(std::chrono::seconds(2));

inline int add(int a, int b) {
    return a + b;
}

/// Its call stands in a slot; its result, too.
inline std::string lengthened(const std::string& text) {
    return text + std::string(100, '+');
}

/// Both stand in an arena, which says nothing of what is in it.
inline std::string echo(const std::string& text) {
    return text;
}

/// What futures told.
struct Told {
    int right = 0;
    int broken = 0;
    int other = 0;
    int wrong = 0;

    Told& operator+=(const Told& more) {
        right += more.right;
        broken += more.broken;
        other += more.other;
        wrong += more.wrong;
        return *this;
    }
};

template <class T>
void settle(futures::Future<T>& future, const T& expected, Told& told) {
    try {
        ++(future.result(soon) == expected ? told.right : told.wrong);
    } catch (const futures::BrokenProcessPool&) {
        ++told.broken;
    } catch (const futures::TimeoutError&) {
        FAIL("a future is never done");
    } catch (const std::exception&) {
        ++told.other;
    }
}

/// Tasks of each size, and what became of them.
class Load {
public:
    /// As many as a pool that may be broken takes.
    void submit(futures::ProcessPoolExecutor& pool, int count) {
        try {
            for (int i = 0; i < count; ++i) {
                const std::string text = std::to_string(i);
                sums_.emplace_back(pool.submit(add, i, 1), i + 1);
                texts_.emplace_back(pool.submit(lengthened, text), lengthened(text));
                if (i % 4 == 0) {
                    const std::string longer(3000, 'x');
                    echoes_.emplace_back(pool.submit(echo, longer), longer);
                }
            }
        } catch (const futures::BrokenProcessPool&) {
            ++told_.broken;
            ++refused_;
        }
    }

    /// Of how many futures and refusals it tells.
    int submitted() const {
        return refused_ +
               static_cast<int>(sums_.size() + texts_.size() + echoes_.size());
    }

    Told told() {
        Told of_echoes;
        settle_all(sums_, told_);
        settle_all(texts_, told_);
        settle_all(echoes_, of_echoes);
        told_.right += of_echoes.right;
        told_.broken += of_echoes.broken;
        told_.other += of_echoes.other + of_echoes.wrong;  // long ones have no sum
        return told_;
    }

private:
    template <class T>
    using Expected = std::vector<std::pair<futures::Future<T>, T>>;

    template <class T>
    static void settle_all(Expected<T>& all, Told& told) {
        for (auto& [future, expected] : all) {
            settle(future, expected, told);
        }
    }

    Expected<int> sums_;
    Expected<std::string> texts_;
    Expected<std::string> echoes_;
    Told told_;
    int refused_ = 0;
};

}  // namespace test

// SPDX-License-Identifier: BSL-1.0
// What the refused calls of table.txt call, and with what.
#pragma once

#include <bitset>
#include <cmath>
#include <filesystem>
#include <functional>
#include <futures/futures.hpp>
#include <map>
#include <memory>
#include <mp/mp.hpp>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <thread>
#include <tuple>
#include <utility>
#include <variant>
#include <vector>

int twice(int x);
double twice(double x);
template <class T>
T generic(T x);
int once(int x);
int twice_of(const struct Object& x);
int add(int x, int y);
int with_default(int x, long y = 2);
int writes(int& x);
int reads(const int* x);
int counts(std::string_view text);
const char* text_of(int x);
std::string_view view_of(int x);
std::span<int> part_of(int x);
std::filesystem::path path_of(int x);
std::bitset<9> bits_of(int x);

struct Object {
    int value = 0;
    int get() const;
    int plus(int x) const;

    template <class Archive>
    void serialize(Archive& archive, unsigned) {
        archive& value;
    }
};

struct Functor final {
    int operator()(int x) const;
};

/// Without a default constructor.
struct Made {
    explicit Made(int from);

    template <class Archive>
    void serialize(Archive& archive, unsigned) {
        archive& value;
    }

    int value = 0;
};

/// Without a serialize().
class Closed {
public:
    Closed();
    int value() const;

private:
    int value_ = 0;
};

Made made_of(int x);
std::vector<Made> many_made_of(int x);
Closed closed_of(int x);
int opens(Closed closed);
int unmade(std::vector<Made> made);

inline int seven = 7;
inline const auto any = [](auto x) {
    return x;
};
inline const auto none = [](auto) {
};
inline const auto sums = [](int x, int y) {
    return x + y;
};
inline const auto returns = [](int x) {
    return x;
};
inline const auto bumps = [](int& x) {
    return ++x;
};
inline const auto broken = [](auto x) {
    return x.none;
};
inline const auto changes = [](auto& x) {
    ++x;
};
inline const auto captures = [kept = seven](int x) {
    return x + kept;
};
inline const std::function<int(int)> function = once;
inline Object object;
inline futures::Future<void> done_void;
inline futures::Future<std::string> done_text;
inline futures::Future<std::unique_ptr<int>> unique_future;

/// A range of one value, which for text is what submit() would make of it.
template <class T>
std::vector<T> range_of(T value) {
    std::vector<T> range;
    range.push_back(std::move(value));
    return range;
}

futures::ProcessPoolExecutor& pool();
futures::ThreadPoolExecutor& threads();
mp::Connection& wire();
template <class T>
T any_value();

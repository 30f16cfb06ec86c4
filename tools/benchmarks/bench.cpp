// SPDX-License-Identifier: BSL-1.0
// The table as text and as JSON, and the median of a run.
#include "bench.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <cstdio>
#include <fstream>
#include <iomanip>
#include <iostream>
#include <sstream>

namespace bench {

namespace {

std::string shown(Unit unit, double value) {
    std::array<char, 48> text{};
    switch (unit) {
    case Unit::milliseconds:
        std::snprintf(text.data(), text.size(), "%.2f ms", value);
        break;
    case Unit::microseconds:
        std::snprintf(text.data(), text.size(), "%.2f us", value);
        break;
    case Unit::nanoseconds:
        std::snprintf(text.data(), text.size(), "%.1f ns", value);
        break;
    case Unit::per_second:
        std::snprintf(
            text.data(),
            text.size(),
            value >= 1e6 ? "%.2f M/s" : "%.1f k/s",
            value >= 1e6 ? value / 1e6 : value / 1e3
        );
        break;
    case Unit::gigabytes:
        std::snprintf(text.data(), text.size(), "%.2f GB/s", value);
        break;
    case Unit::bytes:
        std::snprintf(text.data(), text.size(), "%.0f B", value);
        break;
    case Unit::percent:
        std::snprintf(text.data(), text.size(), "%.2f %%", value);
        break;
    }
    return text.data();
}

std::string times(double factor) {
    std::array<char, 48> text{};
    std::snprintf(text.data(), text.size(), factor < 10 ? "%.2fx" : "%.0fx", factor);
    return text.data();
}

const double* find(const Row& row, const std::string& rival) {
    for (const auto& [name, value] : row.others) {
        if (name == rival) {
            return &value;
        }
    }
    return nullptr;
}

bool reached(const Row& row) {
    const double* const rival = find(row, row.rival);
    return !row.target || rival == nullptr || ratio(row, *rival) >= *row.target;
}

nlohmann::ordered_json as_json(const Row& row) {
    nlohmann::ordered_json json{
        {"group", row.group},
        {"name", row.name},
        {"more_is_better", more_is_better(row.unit)},
        {"shown", shown(row.unit, row.ours)},
        {"ours", row.ours}};
    for (const auto& [name, value] : row.others) {
        json[name] = value;
        json["ratio to " + name] = ratio(row, value);
    }
    if (row.target) {
        json["rival"] = row.rival;
        json["target"] = *row.target;
        json["reached"] = reached(row);
    }
    return json;
}

}  // namespace

bool more_is_better(Unit unit) {
    return unit == Unit::per_second || unit == Unit::gigabytes;
}

double ratio(const Row& row, double other) {
    return more_is_better(row.unit) ? row.ours / other : other / row.ours;
}

void Table::add(Row row) {
    if (rows_.empty() || rows_.back().group != row.group) {
        std::cout << "\n" << row.group << "\n";
    }
    std::ostringstream line;
    line << "  ";
    line.width(34);
    line << std::left << row.name;
    line.width(12);
    line << std::right << shown(row.unit, row.ours);
    for (const auto& [name, value] : row.others) {
        line << "   " << name << ' ' << shown(row.unit, value) << " ("
             << times(ratio(row, value)) << ')';
    }
    if (row.target) {
        line << "   target " << times(*row.target) << ' ' << row.rival
             << (reached(row) ? "" : "  MISSED");
    }
    std::cout << line.str() << std::endl;
    rows_.push_back(std::move(row));
}

bool Table::write_json(const std::string& path) const {
    nlohmann::ordered_json rows = nlohmann::ordered_json::array();
    for (const Row& row : rows_) {
        rows.push_back(as_json(row));
    }
    std::ofstream out(path);
    out << std::setw(2) << rows << std::endl;
    return out.good();
}

bool Table::all_reached() const {
    return std::all_of(rows_.begin(), rows_.end(), reached);
}

void add_figure(
    Row& row,
    const std::string& name,
    const std::map<std::string, double>& figures,
    const std::string& key
) {
    const auto found = figures.find(key);
    if (found != figures.end()) {
        row.others.emplace_back(name, found->second);
    }
}

double median(std::vector<double> values) {
    const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
    std::nth_element(values.begin(), middle, values.end());
    if (values.size() % 2 == 1) {
        return *middle;
    }
    return (*std::max_element(values.begin(), middle) + *middle) / 2;
}

}  // namespace bench

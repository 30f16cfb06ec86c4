// SPDX-License-Identifier: BSL-1.0
// Structs of our own go to the workers and come back.
#include <algorithm>
#include <futures/process_pool.hpp>
#include <iostream>
#include <string>
#include <vector>

struct Student {
    std::string name;
    std::vector<int> marks;
};

struct Report {
    std::string name;
    int best = 0;
};

Report best_mark(const Student& student) {
    return {student.name, *std::ranges::max_element(student.marks)};
}

int main() {
    const std::vector<Student> students{
        {"Ada", {71, 95, 88}},
        {"Alan", {93, 64}},
    };
    futures::ProcessPoolExecutor pool(2);
    for (const Report& report : pool.map(best_mark, students)) {
        std::cout << report.name << ": " << report.best << '\n';
    }
}
